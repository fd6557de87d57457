"""On what terms a search runs: its splits, limits, stages, and what ends it or its trials early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitter:
    """How rows are split for cross-validation; what is None has scikit-learn's default.

    Attributes:
        type: such as `k_fold`, `repeated_stratified_k_fold` or `time_series_split`; a wrong one lists all.
        n_splits: folds, or splits, of each repeat; `cv_folds` when None.
        shuffle: shuffles the rows before they are cut into folds.
        n_repeats: repeats the folds with other shuffles.
        test_size: share of the rows that is tested, in (0, 1).
        gap: rows left out between training and test part.
        max_train_rows: limit of the training part.
        test_rows: rows of each test part.
    """

    type: str
    n_splits: int | None = None
    shuffle: bool | None = None
    n_repeats: int | None = None
    test_size: float | None = None
    gap: int | None = None
    max_train_rows: int | None = None
    test_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRules:
    """When enough was found; None where a rule does not hold.

    Attributes:
        plateau_trials: trials in a row without an improvement that end it.
        min_improvement: what a score must be above the last improvement to be one; 0 by default.
        target_score: a score that ends it.
    """

    plateau_trials: int | None = None
    min_improvement: float | None = None
    target_score: float | None = None


NO_RULES: Final = StoppingRules()
"""Nothing ends it early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """Stops trials before their last step; a figure that is None is the server's default.

    Attributes:
        rule: `lossless` stops those that could not be among the best `keep` even if their other folds
            went perfectly, so that those come out as in a search that stops none. The others guess, and
            may stop the best: `median`, `asha` and `racing`.
        keep: of `lossless`, how many.
        keep_ties: of `lossless`, keep all that tie with the last of them too.
        warmup_steps: of `median`, steps before the first look.
        startup_trials: of `median`, other trials it needs at a step.
        interval_steps: of `median`, steps between two looks.
        reduction_factor: of `asha`, one in so many goes on from a rung.
        grace_period: of `asha`, steps of the first rung.
        level: of `racing`, the p-value that stops.
        test: of `racing`, `corrected_t` or `wilcoxon`.
        min_splits: of `racing`, folds before the first look.
        step_kind: what a step is: `fold`, `training_size` (all folds on a growing share of their training
            rows) or `boosting_round` (all folds advanced together); `fold` when None.
        min_training_fraction: of training sizes, the share of the rows on the first rung.
        max_steps: steps of a whole trial, as the server says; not to be set.
    """

    rule: str = "lossless"
    keep: int | None = None
    keep_ties: bool | None = None
    warmup_steps: int | None = None
    startup_trials: int | None = None
    interval_steps: int | None = None
    reduction_factor: int | None = None
    grace_period: int | None = None
    level: float | None = None
    test: str | None = None
    min_splits: int | None = None
    step_kind: str | None = None
    min_training_fraction: float | None = None
    max_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How the best model is selected among its candidates.

    Attributes:
        rule: `best`, by score; or `one_standard_error`, the simplest whose score is within one standard
            error of the best's.
        simpler: what makes a candidate simpler, the most important parameter first: `lower` or
            `higher` values by parameter, such as {"max_depth": "lower"}.
    """

    rule: str = "one_standard_error"
    simpler: Mapping[str, str] = field(default_factory=dict)


BY_SCORE: Final = Selection(rule="best")
"""The best by score is the best model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStage:
    """What one stage of a plan is asked to do; None leaves it to the server.

    Attributes:
        method: such as `grid_search`, `random_search`, `bayesian` or `local`, which goes on around the best.
        n_iter: trials per model; not for `grid_search`.
        parameters: those it searches, all when empty; what was searched before is held at its best so far.
        refinement: `none`, `fixed` or `adaptive`.
        refinement_factor: in (0, 1]; smaller is narrower.
        explore: share of points that look beyond the refined space, 0 to 1.
        stopping: ends its search of a model early.
        pruning: stops its trials early, in place of the plan's; or its rule.
        radius: how far `local` goes from where it starts, as a share of each range, in (0, 1].
    """

    method: str
    n_iter: int | None = None
    parameters: tuple[str, ...] = ()
    refinement: str | None = None
    refinement_factor: float | None = None
    explore: float | None = None
    stopping: StoppingRules | None = None
    pruning: Pruning | str | None = None
    radius: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a search may use up at most; None sets no limit.

    Attributes:
        max_trials: trials of all stages together.
        max_failed_trials: failed trials; one more ends the search as failed.
        max_seconds: time running, pauses not counted.
        max_cost: what all attempts cost; needs a price, the operator's or this one.
        price_per_hour: of one slot.
        trial_timeout_seconds: ends a trial that runs longer; with it `max_cost` is never exceeded.
    """

    max_trials: int | None = None
    max_failed_trials: int | None = None
    max_seconds: float | None = None
    max_cost: float | None = None
    price_per_hour: float | None = None
    trial_timeout_seconds: float | None = None


NO_LIMITS: Final = Budget()
"""A budget that limits nothing."""
