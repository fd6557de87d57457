"""Trials and their scores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crescendo.client.model.states import State
from crescendo.client.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneDecision:
    """Why a trial was stopped after `step` steps: what it was judged by, and against.

    `step_kind` is what a step is: `fold`, `training_size` or `boosting_round`.
    """

    rule: str
    step: int
    value: float
    cut_off: float
    peers: int
    step_kind: str = "fold"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreInterval:
    """An interval around a mean over splits, at a confidence level such as 0.95."""

    level: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFacts:
    """What one split took; parts in rows, times in seconds.

    `best_rounds` is the round after which boosting that stops early no longer improved; `optimistic`
    says that it was chosen by the rows the score is measured on.
    """

    train_rows: int
    test_rows: int
    fit_seconds: float
    score_seconds: float
    best_rounds: int | None = None
    optimistic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The scores of one metric over the splits of one trial.

    `train_scores` are those on the rows each split was fitted on; empty unless they were asked for.
    """

    metric: str
    split_scores: tuple[float, ...]
    mean: float | None
    std: float | None
    median: float | None
    min: float | None
    max: float | None
    intervals: tuple[ScoreInterval, ...] = ()
    train_scores: tuple[float, ...] = ()
    train_mean: float | None = None
    train_std: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a trial failed: a kind such as `exception`, and the message."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One assignment and what came of it; `score` is the mean over the splits.

    Attributes:
        splits: what each scored split took.
        suggestion_index: with the seed of its tuning run it decides the randomness of the suggestion.
        suggested_at_sequence: the last event that had seen.
        interval_method: `corrected_t`, `corrected_t_heuristic` (over folds made once), or empty for none.
        final_rounds: rounds for a fit on all rows, where boosting stopped early.
        optimistic: whether the score was measured on the rows that said when to stop.
        copied_from: the number of the trial whose result it has, when it was not run itself.
    """

    number: int
    stage_index: int
    state: State
    score: float | None
    parameters: dict[str, Value]
    phase: str
    metrics: tuple[Metric, ...]
    failure: Failure | None
    worker: str
    attempt: int
    fit_seconds: float
    score_seconds: float
    candidate_index: int | None
    tuning_run_id: str
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    prune_decision: PruneDecision | None = None
    suggestion_index: int = 0
    suggested_at_sequence: int = 0
    splits: tuple[SplitFacts, ...] = ()
    interval_method: str = ""
    final_rounds: int | None = None
    optimistic: bool = False
    copied_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a trial's assignment came from, and what that rests on.

    Attributes:
        summary: in words.
        refinement_id: of the refinement that made the space it was drawn from; None for the original.
        evidence_trial_numbers: what that refinement rests on, best first.
        baseline_trial_number: of the current parameters a local search moved away from.
        point_to_try: its place among the points that were to be tried first, from 0.
    """

    summary: str
    refinement_id: int | None
    evidence_trial_numbers: tuple[int, ...]
    best_trial_number: int | None
    refinement_summary: str
    baseline_trial_number: int | None
    point_to_try: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedTrial:
    """A trial with where it came from."""

    trial: Trial
    lineage: Lineage
