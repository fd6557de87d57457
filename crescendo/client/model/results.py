"""What came of a search: its history, the best model and the ranking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crescendo.client.model.orchestrations import Best
from crescendo.client.model.states import State
from crescendo.client.model.trials import ScoreInterval, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """A step of a best-so-far curve; `trials_before` had ended with a score before it."""

    trial_number: int
    score: float
    trials_before: int
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHistory:
    """How one tuning run went: its scores, and the steps of its best-so-far curve.

    Attributes:
        expected_improvement: by how much one more trial like those so far may raise the best.
    """

    tuning_run_id: str
    stage_index: int
    model_run_id: str
    model_type: str
    method: str
    scored_trials: int
    mean: float | None
    std: float | None
    best: float | None
    expected_improvement: float | None
    improvements: tuple[Improvement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionMade:
    """How the best model was selected: of how many candidates with at least `threshold`, and why."""

    rule: str
    best_by_score: Best
    standard_error: float
    threshold: float
    candidates: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialComparison:
    """How much better the first of two trials scored than the second, and what of it may be chance.

    Attributes:
        metric: scikit-learn's scorer; higher is better.
        difference: mean of `differences`, which are first − second per split.
        interval_method: `corrected_t`, `corrected_t_heuristic` (over folds made once), or empty where
            there is no test: `statistic`, `degrees_of_freedom` and `p_value` are None then.
        p_value: two-sided; it knows nothing of how many candidates the two were picked from.
    """

    metric: str
    first_mean: float
    second_mean: float
    difference: float
    differences: tuple[float, ...]
    interval_method: str
    intervals: tuple[ScoreInterval, ...]
    statistic: float | None
    degrees_of_freedom: int | None
    p_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedModel:
    """One model of an orchestration; rank 1 is the best, 0 means no successful trial.

    `best` is the best by score, or what was selected in its place where `selection` says so.
    """

    rank: int
    model_run_id: str
    model_type: str
    state: State
    best: Best | None
    message: str
    selection: SelectionMade | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BestModel:
    """The best trial of an orchestration, or what was selected in its place, and every model ranked."""

    best: Best
    trial: Trial
    ranking: tuple[RankedModel, ...]
    scoring_metric: str
    complete: bool
    selection: SelectionMade | None = None
