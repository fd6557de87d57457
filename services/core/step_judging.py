"""Whether a trial goes on after a step: the rule of its search, applied to what all trials came to there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.core.pruning import PruneDecision
from services.core.pruning_rules import asha, below_median
from services.core.pruning_settings import ASHA, MEDIAN, RACING, Pruning, StepKind
from services.core.racing import racing
from services.core.statistics import mean_score


@dataclass(frozen=True, slots=True, kw_only=True)
class StepScore:
    """One step a trial made; `step` counts from 1, `value` is as its kind says."""

    step: int
    value: float
    kind: StepKind = StepKind.FOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStanding:
    """Where a trial stands after a step.

    Attributes:
        value: of the step itself.
        mean: of all its values up to the step (`numpy.mean`, in the order of the steps).
        best: the highest of them.
    """

    value: float
    mean: float
    best: float

    def compared(self, kind: StepKind) -> float:
        """What trials are compared by at one step: folds by their mean, curves by their latest value."""
        return self.mean if kind is StepKind.FOLD else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Incumbent:
    """The best complete trial, as a race runs against it.

    Attributes:
        scores: of all its splits, in split order.
        test_share: mean of n_test / n_train over its splits.
    """

    scores: tuple[float, ...]
    test_share: float


def standing(values: Sequence[float]) -> StepStanding:
    """Gives where a trial stands after the last of some steps, of which there is at least one."""
    return StepStanding(value=values[-1], mean=mean_score(values), best=max(values))


def judged(
    pruning: Pruning,
    values: Sequence[float],
    *,
    step: int,
    peers: Sequence[StepStanding],
    incumbent: Incumbent | None = None,
) -> PruneDecision | None:
    """Decides whether a trial goes on after a step.

    Args:
        pruning: a rule that guesses; `lossless` is decided where trials run.
        values: of the trial's steps up to this one, in order; of folds, every one.
        step: how many steps it made.
        peers: where other trials of the tuning run stood after the same step, whatever became of them.
        incumbent: of a race; None while no trial is complete.

    Returns: None where the rule does not look at the step.
    """
    if not pruning.looks_at(step):
        return None
    kind, stands = pruning.step_kind, standing(values)
    others = [each.compared(kind) for each in peers]
    if pruning.rule == ASHA:
        factor = pruning.reduction_factor
        decision = asha(stands.compared(kind), others, step=step, reduction_factor=factor)
    elif pruning.rule == MEDIAN:
        # Golovin et al. 2017, section 3.2.1: a curve's best so far against the others' running averages.
        value = stands.mean if kind is StepKind.FOLD else stands.best
        averages = [each.mean for each in peers]
        decision = below_median(value, averages, step=step, rule=pruning.median)
    elif pruning.rule == RACING:
        decision = racing(
            values,
            None if incumbent is None else incumbent.scores,
            rule=pruning.racing,
            test_share=0.0 if incumbent is None else incumbent.test_share,
        )
    else:
        return None
    return replace(decision, step_kind=kind)
