"""How trials may be stopped early: rules with their figures, and the steps they look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.core.errors import FieldViolation, InvalidRequest
from services.core.training_sizes import training_fractions

LOSSLESS: Final = "lossless"
MEDIAN: Final = "median"
ASHA: Final = "asha"
RACING: Final = "racing"

PRUNING_RULES: Final = (LOSSLESS, MEDIAN, ASHA, RACING)
"""Rules a search may ask for."""

RULE_FIGURES: Final[Mapping[str, tuple[str, ...]]] = {
    LOSSLESS: ("keep", "keep_ties"),
    MEDIAN: ("warmup_steps", "startup_trials", "interval_steps"),
    ASHA: ("reduction_factor", "grace_period"),
    RACING: ("level", "test", "min_splits"),
}
"""The figures of `Pruning` that each rule goes by."""

WILCOXON: Final = "wilcoxon"
CORRECTED_T: Final = "corrected_t"

RACING_TESTS: Final = (CORRECTED_T, WILCOXON)
"""Tests a race may use."""

MIN_SHARED_SPLITS: Final = 5
"""With fewer pairs Wilcoxon's test cannot reach 5 %, whatever the scores."""

TRAINING_FRACTION: Final = "min_training_fraction"
"""The figure of `Pruning` that belongs to rungs of training size, whatever the rule."""

DEFAULT_TRAINING_FRACTION: Final = 0.1
"""The share of the training rows on the first rung."""

_MEDIAN_GROWTH: Final = 2

MAX_KEEP: Final = 1_000
"""How many candidates a lossless search may keep: their scores lie on one row."""


class StepKind(Enum):
    """What a trial makes one after another, and can be stopped between.

    FOLD: a scored split, in split order; a trial stands by the mean of its values so far.
    TRAINING_SIZE: all splits on a growing share of their training rows; a trial stands by its latest value.
    BOOSTING_ROUND: all splits advanced to a round; as TRAINING_SIZE, and rounds may be left out.
    """

    FOLD = "fold"
    TRAINING_SIZE = "training_size"
    BOOSTING_ROUND = "boosting_round"


@dataclass(frozen=True, slots=True, kw_only=True)
class MedianRule:
    """When the median rule looks, and at how many peers.

    Attributes:
        warmup_steps: steps a trial makes before it is first judged, ≥ 1.
        interval_steps: steps between two looks, ≥ 1.
        startup_trials: peers there must be at a step before it judges, ≥ 1.

    Raises: InvalidRequest: figures are out of their ranges; every one is listed.
    """

    warmup_steps: int = 1
    interval_steps: int = 1
    startup_trials: int = 5

    def __post_init__(self) -> None:
        figures = {
            "warmup_steps": self.warmup_steps,
            "interval_steps": self.interval_steps,
            "startup_trials": self.startup_trials,
        }
        _raise_if_any(
            [
                _violation(name, f"is {value}, must be 1 or more")
                for name, value in figures.items()
                if value < 1
            ]
        )

    def looks_at(self, step: int) -> bool:
        """Whether a trial is judged after so many steps."""
        return step >= self.warmup_steps and (step - self.warmup_steps) % self.interval_steps == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AshaRule:
    """The rungs of asynchronous successive halving.

    Attributes:
        grace_period: steps of the first rung, 1 to `max_steps`.
        reduction_factor: η, of which one in so many goes on from each rung, ≥ 2.
        max_steps: steps a trial has in all.

    Raises: InvalidRequest: figures are out of their ranges; every one is listed.
    """

    grace_period: int = 1
    reduction_factor: int = 4
    max_steps: int

    def __post_init__(self) -> None:
        found: list[FieldViolation] = []
        if not 1 <= self.grace_period <= self.max_steps:
            found.append(
                _violation(
                    "grace_period",
                    f"is {self.grace_period}, must be 1 to {self.max_steps}, the steps of"
                    " a whole trial",
                )
            )
        if self.reduction_factor < 2:
            found.append(
                _violation(
                    "reduction_factor",
                    f"is {self.reduction_factor}, must be 2 or more: one in so many goes on",
                )
            )
        _raise_if_any(found)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps of each rung: grace_period · η^k, below `max_steps`."""
        rungs: list[int] = []
        step = self.grace_period
        while step < self.max_steps:
            rungs.append(step)
            step *= self.reduction_factor
        return tuple(rungs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RacingRule:
    """How sure a race must be before it stops a candidate.

    Attributes:
        test: one of RACING_TESTS.
        level: highest p-value that stops, in (0, 0.5]. It holds for one look: folds share training rows
            and every split is looked at again, so this is a heuristic, not an error rate.
        min_splits: shared splits before the first look, ≥ MIN_SHARED_SPLITS.

    Raises: InvalidRequest: something is out of its range; every such thing is listed.
    """

    test: str = CORRECTED_T
    level: float = 0.05
    min_splits: int = MIN_SHARED_SPLITS

    def __post_init__(self) -> None:
        found: list[FieldViolation] = []
        if self.test not in RACING_TESTS:
            known = ", ".join(RACING_TESTS)
            found.append(_violation("test", f'"{self.test}" is no test; known: {known}'))
        if not 0 < self.level <= 0.5:
            found.append(_violation("level", f"is {self.level:g}, must be in (0, 0.5]"))
        if self.min_splits < MIN_SHARED_SPLITS:
            found.append(
                _violation(
                    "min_splits",
                    f"is {self.min_splits}, must be {MIN_SHARED_SPLITS} or more: fewer"
                    " pairs cannot show a difference",
                )
            )
        _raise_if_any(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """How trials of a tuning run are stopped early. Only the figures of its rule count.

    Attributes:
        rule: one of PRUNING_RULES.
        step_kind: what a step is.
        max_steps: steps of a whole trial, which is never judged after its last; 0 while that is not known.
        keep: candidates that must come out as in a search that stops none, 1 to MAX_KEEP.
        keep_ties: whether every candidate with the score of the last of them is kept too.
        warmup_steps, startup_trials, interval_steps: as in MedianRule.
        reduction_factor, grace_period: as in AshaRule.
        level, test, min_splits: as in RacingRule.
        min_training_fraction: share of the training rows on the first rung, where steps are such, in (0, 1).

    Raises: InvalidRequest: a figure is out of its range, or the rule has no such steps; all is listed.
    """

    rule: str = LOSSLESS
    step_kind: StepKind = StepKind.FOLD
    max_steps: int = 0
    keep: int = 1
    keep_ties: bool = False
    warmup_steps: int = 1
    startup_trials: int = 5
    interval_steps: int = 1
    reduction_factor: int = 4
    grace_period: int = 1
    level: float = 0.05
    test: str = CORRECTED_T
    min_splits: int = MIN_SHARED_SPLITS
    min_training_fraction: float = DEFAULT_TRAINING_FRACTION

    def __post_init__(self) -> None:
        found: list[FieldViolation] = []
        if self.rule not in PRUNING_RULES:
            known = ", ".join(PRUNING_RULES)
            found.append(_violation("rule", f'"{self.rule}" is no rule; known: {known}'))
        if not 1 <= self.keep <= MAX_KEEP:
            found.append(
                _violation(
                    "keep", f"is {self.keep}, must be 1 to {MAX_KEEP}: so many of the best are kept"
                )
            )
        if self.rule in (LOSSLESS, RACING) and self.step_kind is not StepKind.FOLD:
            found.append(
                _violation(
                    "step_kind",
                    f"is {self.step_kind.value}, must be fold: {self.rule} pruning compares splits;"
                    " for other steps take median or asha",
                )
            )
        if not 0.0 < self.min_training_fraction < 1.0:
            found.append(
                _violation(
                    "min_training_fraction",
                    f"is {self.min_training_fraction:g}, must be above 0 and below 1: the last rung is"
                    " all rows",
                )
            )
        try:
            self._check_figures(found)
        except InvalidRequest as error:
            found.extend(error.violations)
        _raise_if_any(found)

    @property
    def guesses(self) -> bool:
        """Whether its rule may stop the best: decisions are then made where all trials are known."""
        return self.rule != LOSSLESS

    @property
    def median(self) -> MedianRule:
        """The figures of the median rule."""
        return MedianRule(
            warmup_steps=self.warmup_steps,
            interval_steps=self.interval_steps,
            startup_trials=self.startup_trials,
        )

    @property
    def asha(self) -> AshaRule:
        """The figures of successive halving; of one rung while the steps of a trial are not known."""
        return AshaRule(
            grace_period=self.grace_period,
            reduction_factor=self.reduction_factor,
            max_steps=self.max_steps or max(1, self.grace_period),
        )

    @property
    def racing(self) -> RacingRule:
        """The figures of a race."""
        return RacingRule(test=self.test, level=self.level, min_splits=self.min_splits)

    @property
    def training_fractions(self) -> tuple[float, ...]:
        """The share of the training rows at each step, where steps are rungs of training size.

        Each is `reduction_factor` times the one before with `asha`, twice with `median`; the last is 1.

        Raises: ValueError: there would be too many.
        """
        growth = self.reduction_factor if self.rule == ASHA else _MEDIAN_GROWTH
        return training_fractions(self.min_training_fraction, growth)

    def looks_at(self, step: int) -> bool:
        """Whether a trial may be stopped after so many steps by what others did; never for `lossless`."""
        if self.max_steps and step >= self.max_steps:
            return False
        if self.rule == MEDIAN:
            return self.median.looks_at(step)
        if self.rule == ASHA and self.step_kind is StepKind.TRAINING_SIZE:
            # Rungs of training size grow by the reduction factor already.
            return step >= self.grace_period
        if self.rule == ASHA:
            return step in self.asha.rungs
        return self.rule == RACING and step >= self.min_splits

    def _check_figures(self, found: list[FieldViolation]) -> None:
        """Adds figures that leave the rule no step to look at; those out of all ranges are raised."""
        steps = self.max_steps
        if self.rule == ASHA:
            _ = self.asha
        elif self.rule == MEDIAN:
            if steps and self.warmup_steps >= steps:
                found.append(
                    _violation(
                        "warmup_steps",
                        f"is {self.warmup_steps}, must be below {steps}, the steps of a whole trial:"
                        " nothing is saved after the last",
                    )
                )
            _ = self.median
        elif self.rule == RACING:
            if steps and self.min_splits >= steps:
                found.append(
                    _violation(
                        "min_splits",
                        f"is {self.min_splits}, must be below {steps}, the splits there are: take"
                        " more splits (repeated ones, say), for a race needs 5 that two candidates share"
                        " and saves those after",
                    )
                )
            _ = self.racing


def _violation(name: str, description: str) -> FieldViolation:
    return FieldViolation(field=f"pruning.{name}", description=description)


def _raise_if_any(found: list[FieldViolation]) -> None:
    if found:
        raise InvalidRequest(found)
