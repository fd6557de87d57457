"""Events: every change to an orchestration, in one gapless order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from services.core.plan import LifecycleState
from services.core.pruning import PruneDecision
from services.core.refinement import Refinement
from services.core.run import BestTrial
from services.core.trial import Failure, FailureKind, TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationChanged:
    """The orchestration's state changed; `final` when no event follows."""

    state: LifecycleState
    reason: str = ""
    message: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChanged:
    """A stage's state changed, or (with `tuning_run_id`) that of one of its tuning runs."""

    stage_index: int
    tuning_run_id: str = ""
    state: LifecycleState
    reason: str = ""
    message: str = ""
    planned_trials: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinementMade:
    """A space was refined."""

    refinement: Refinement


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsQueued:
    """Trials were created with consecutive numbers."""

    tuning_run_id: str
    first_number: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStarted:
    """A worker claimed a trial."""

    number: int
    attempt: int
    worker: str
    tuning_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldScored:
    """One fold of a running trial was scored."""

    number: int
    attempt: int
    split: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequeued:
    """A trial left RUNNING without an end and waits again, under a new attempt."""

    number: int
    attempt: int
    cause: FailureKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFinished:
    """A trial ended; `prune_decision` says why it was PRUNED, `copied_from` whose result it has."""

    number: int
    attempt: int
    state: TrialState
    tuning_run_id: str
    score: float | None = None
    split_scores: tuple[float, ...] = ()
    failure: Failure | None = None
    duration_seconds: float = 0.0
    prune_decision: PruneDecision | None = None
    train_scores: tuple[float, ...] = ()
    copied_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BestImproved:
    """A better trial than all before was found."""

    best: BestTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationReopened:
    """A finished orchestration runs again."""

    total_trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something people should know."""

    reason: str
    message: str
    tuning_run_id: str = ""


Payload: TypeAlias = (
    OrchestrationChanged
    | StageChanged
    | RefinementMade
    | TrialsQueued
    | TrialStarted
    | FoldScored
    | TrialRequeued
    | TrialFinished
    | BestImproved
    | OrchestrationReopened
    | Notice
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change; `sequence` counts 1, 2, 3, … within the orchestration.

    `request_id` is that of the request that brought it about; empty for what came about by itself.
    """

    orchestration_id: str
    sequence: int
    occurred_at: datetime
    payload: Payload
    request_id: str = ""
