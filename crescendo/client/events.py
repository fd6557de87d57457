"""What a watch hands out: a snapshot first, then every change in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from crescendo.client.model import Best, Failure, Orchestration, Refinement, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Where a watch without a cursor starts: everything as it stands at `sequence`.

    `epoch` names the history the log belongs to: kept with a sequence number, it lets a later watch
    notice that a restored database has lost events. `shortened` says that the plan is large and its
    tuning runs come without spaces, rules and metrics: `status` gives all of it.
    """

    sequence: int
    orchestration: Orchestration
    epoch: str = ""
    shortened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationChanged:
    """The orchestration's state changed; nothing follows a final one."""

    state: State
    reason: str
    message: str
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChanged:
    """A stage changed, or one of its tuning runs when `tuning_run_id` is set."""

    stage_index: int
    tuning_run_id: str
    state: State
    reason: str
    message: str
    planned_trials: int


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
    """A worker started a trial; short ones only finish."""

    number: int
    attempt: int
    worker: str
    tuning_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldScored:
    """One split of a running trial was scored."""

    number: int
    attempt: int
    split: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequeued:
    """A trial lost its worker and waits again."""

    number: int
    attempt: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFinished:
    """A trial ended; `train_scores` are empty unless the search returns them.

    `copied_from` is the number of the trial whose result it has, when it was not run itself.
    """

    number: int
    attempt: int
    state: State
    score: float | None
    split_scores: tuple[float, ...]
    failure: Failure | None
    tuning_run_id: str
    duration_seconds: float
    train_scores: tuple[float, ...] = ()
    copied_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BestImproved:
    """A trial better than all before was found."""

    best: Best


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationReopened:
    """A finished orchestration runs again with more trials."""

    total_trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something people should know."""

    reason: str
    message: str
    tuning_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A change that a newer server writes and this library does not know."""


Change: TypeAlias = (
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
    | Unknown
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change; `sequence` counts 1, 2, 3, … within the orchestration; `epoch` as in Snapshot."""

    orchestration_id: str
    sequence: int
    occurred_at: datetime | None
    change: Change
    epoch: str = ""


WatchItem: TypeAlias = Snapshot | Event
