"""What use cases answer beside the values of `services.core`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from services.core.objective import Step, Task
from services.core.plan import LifecycleState
from services.core.run import BestTrial
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
    """

    task: Task
    target_column: str
    row_count: int
    columns: tuple[Column, ...]
    classes: tuple[tuple[str, int], ...]
    content_hash: str
    size_bytes: int


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
    """Trials of one tuning run, as (number, attempt)."""

    orchestration_id: str
    tuning_run_id: str
    trials: tuple[tuple[int, int], ...]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """How a claim was answered: `later` stay queued, `stale` are not this message's any more."""

    trials: tuple[ClaimedTrial, ...]
    later: tuple[int, ...]
    stale: tuple[int, ...]


class FinishOutcome(Enum):
    """How a finish was taken; every one is final for the worker."""

    DONE = "done"
    DUPLICATE = "duplicate"
    FENCED = "fenced"


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
class FoldReport:
    """One scored fold of a running trial."""

    trial: TrialKey
    split: int
    score: float


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
    encoded: bytes


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
class RankedModel:
    """One model of an orchestration; `rank` 0 when it has no successful trial."""

    rank: int
    model_run_id: str
    model_type: str
    state: LifecycleState
    best: BestTrial | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BestModel:
    """The best model and the ranking; `complete` is false when the orchestration was not."""

    best: BestTrial
    trial: Trial
    ranking: tuple[RankedModel, ...]
    scoring_metric: str
    complete: bool
