"""What use cases answer beside the values of `services.core`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from services.core.dataset_roles import NO_ROLES, DatasetRoles
from services.core.objective import EvaluationSpec, Step, Task
from services.core.plan import LifecycleState
from services.core.pruning import PruneDecision, Threshold
from services.core.pruning_settings import Pruning, StepKind
from services.core.run import BestTrial, Orchestration
from services.core.selection import Selected
from services.core.space import Assignment
from services.core.trial import Trial, TrialKey, TrialState
from services.store.ports.records import EncodedAssignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A feature column: `type` is float, int, bool or string; NaN counts as missing."""

    name: str
    type: str
    missing_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """What is known of a table before it has an id.

    Attributes:
        classes: (label as text, rows), sorted by label; empty for a regression.
        content_hash: SHA-256 of the stored bytes, hex.
        group_count: groups of the group column; 0 without one.
        fold_count: folds of the fold column that are tested; 0 without one.
        class_spans: places of the first and last row of each of the classes, from 0, in the order of the
            time column where there is one; empty where they are not known.
    """

    task: Task
    target_column: str
    row_count: int
    columns: tuple[Column, ...]
    classes: tuple[tuple[str, int], ...]
    content_hash: str
    size_bytes: int
    roles: DatasetRoles = NO_ROLES
    group_count: int = 0
    fold_count: int = 0
    class_spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A stored, immutable table with a target column."""

    dataset_id: str
    name: str
    summary: DatasetSummary
    built_in: bool
    created_at: datetime


class DatasetFormat(Enum):
    """File formats that can be uploaded; DETECT reads it from the content."""

    DETECT = "detect"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """A model type on a dataset, with what no trial changes; `model_run_id` empty until stored."""

    model_run_id: str
    experiment: str
    dataset_id: str
    model_type: str
    fixed_parameters: Assignment
    steps: tuple[Step, ...]
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearcherLease:
    """The right to decide for one tuning run; every write under it carries `epoch`."""

    tuning_run_id: str
    orchestration_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedTrials:
    """What CreateTrials stored; `remaining` is what the budget still allows."""

    first_number: int
    created: int
    remaining: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Trials of one tuning run, as (number, attempt); `request_id` is what started their orchestration."""

    orchestration_id: str
    tuning_run_id: str
    trials: tuple[tuple[int, int], ...]
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOut:
    """One batch for the queue of one worker class."""

    worker_class: str
    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerClassStatus:
    """How the workers of one class stand; `outstanding` counts trials dispatched and not ended."""

    worker_class: str
    live_workers: int
    slots: int
    outstanding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """Batches to publish, and how the workers stand."""

    hand_outs: tuple[HandOut, ...]
    worker_classes: tuple[WorkerClassStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTrial:
    """A trial that is the session's now."""

    number: int
    attempt: int
    parameters: EncodedAssignment
    candidate_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """How a claim was answered: `later` stay queued, `stale` are not this message's any more.

    `threshold` is what the trials must beat now; None while none is stopped early.
    """

    trials: tuple[ClaimedTrial, ...]
    later: tuple[int, ...]
    stale: tuple[int, ...]
    threshold: Threshold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvaluation:
    """What all trials of a tuning run compute, and how they are stopped early; it never changes."""

    evaluation: EvaluationSpec
    pruning: Pruning | None


class FinishOutcome(Enum):
    """How a finish was taken; every one is final for the worker."""

    DONE = "done"
    DUPLICATE = "duplicate"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How results were taken, in their order, and what other trials of their tuning runs must beat now."""

    outcomes: tuple[FinishOutcome, ...]
    thresholds: Mapping[str, Threshold]


class OrderKind(Enum):
    """What a worker should do with a trial it holds."""

    CANCEL = "cancel"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order about one attempt."""

    kind: OrderKind
    trial: TrialKey


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step of a running trial; `step` counts from 1, `value` is as its kind says."""

    trial: TrialKey
    step: int
    value: float
    kind: StepKind = StepKind.FOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """How steps were taken.

    Attributes:
        orders: about trials that must stop: ended, or of another attempt or session by now.
        stops: reported trials that a rule stops, with why.
        thresholds: what others of their tuning runs must beat now, by id.
    """

    orders: tuple[Order, ...]
    stops: Mapping[TrialKey, PruneDecision]
    thresholds: Mapping[str, Threshold]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A new session; times in seconds."""

    session_id: str
    lease_seconds: float
    beat_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One event of a log; `encoded` is the whole event in the form it travels in."""

    sequence: int
    occurred_at: datetime
    encoded: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Some events of a log in order.

    Attributes:
        epoch: they belong to; None where the first event is not the one asked for, or there is none.
    """

    epoch: str | None
    events: tuple[StoredEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition:
    """Where a log stands.

    Attributes:
        first_sequence: of the oldest event that is kept; one more than the last when none is.
        ended: whether the last event is final, unless the orchestration is reopened.
    """

    first_sequence: int
    last_sequence: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPositions:
    """Where some logs stand, in one consistent read; unknown ones are left out."""

    epoch: str
    observed_at: datetime
    logs: Mapping[str, LogPosition]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationSnapshot:
    """An orchestration with everything that belongs to it, and the epoch of its log, in one read."""

    orchestration: Orchestration
    epoch: str
    observed_at: datetime


class TrialOrder(Enum):
    """How trials are listed."""

    NUMBER = "number"
    SCORE = "score"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFilter:
    """Which trials to list: of an orchestration, of one of its tuning runs, or both named."""

    orchestration_id: str
    tuning_run_id: str | None = None
    states: tuple[TrialState, ...] = ()
    min_score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast trials can run.

    Attributes:
        slots: of all workers whose leases are good.
        mean_durations: seconds a trial takes, by tuning run; only where measured.
    """

    slots: int
    mean_durations: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionMade:
    """How a result, `best`, was selected: among which candidates, with `best_by_score` as their measure."""

    rule: str
    selected: Selected
    best: BestTrial
    best_by_score: BestTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedModel:
    """One model of an orchestration; `rank` 0 when it has no successful trial.

    `best` is what was selected where `selection` says so, else the best by score.
    """

    rank: int
    model_run_id: str
    model_type: str
    state: LifecycleState
    best: BestTrial | None
    message: str
    selection: SelectionMade | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BestModel:
    """The best model and the ranking; `complete` is false when the orchestration was not.

    `selection` says how `best` was selected; None for the best by score.
    """

    best: BestTrial
    trial: Trial
    ranking: tuple[RankedModel, ...]
    scoring_metric: str
    complete: bool
    selection: SelectionMade | None = None
