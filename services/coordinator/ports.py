"""What the coordinator needs of the world: the store, the dispatcher, the searchers.

Every method that reaches over the network raises `Unavailable` when no answer could be had in time;
whether the call was executed is then unknown, so writes are made to be repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.core.dataset_roles import NO_ROLES, DatasetRoles
from services.core.event import Event
from services.core.objective import Step, Task
from services.core.plan import DEFAULT_EXPLORE, LifecycleState, Plan, RequestKey
from services.core.refinement import Refinement
from services.core.run import Orchestration
from services.core.searcher import Suggestion
from services.core.space import Assignment, SearchSpace
from services.core.start_points import NO_START_POINTS, StartPoints
from services.core.trial import NewTrial, Trial, TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """A model type on a dataset, with what no trial changes; parameters have their schema's types."""

    model_run_id: str
    dataset_id: str
    model_type: str
    fixed_parameters: Assignment
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a request must know of a dataset.

    Attributes:
        class_counts: rows per class label, in the order of the labels; empty for a regression.
        class_spans: label → place of its first and last row, from 0, in the order of the time column where
            there is one; empty for a dataset stored before they were.
        group_count: groups of the group column; 0 without one.
        fold_count: tested folds of the fold column; 0 without one.
    """

    dataset_id: str
    task: Task
    row_count: int
    class_counts: tuple[tuple[str, int], ...]
    content_hash: str
    roles: DatasetRoles = NO_ROLES
    class_spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    group_count: int = 0
    fold_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearcherLease:
    """The right to decide for one tuning run; every write under it carries `epoch`."""

    tuning_run_id: str
    orchestration_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedTrials:
    """What CreateTrials stored: `created` trials, numbered from `first_number` on.

    `remaining` trials may still be created for the tuning run, by its own number and the budget; None
    when the store did not say.
    """

    first_number: int
    created: int
    remaining: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReference:
    """One trial that waits, and the attempt a message is sent for."""

    number: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBatch:
    """Trials of one tuning run that one worker should claim together.

    `request_id` is the request that started their orchestration, for logs.
    """

    orchestration_id: str
    tuning_run_id: str
    trials: tuple[TrialReference, ...]
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOut:
    """One batch for the queue of one worker class."""

    worker_class: str
    batch: TrialBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerClassStatus:
    """How the workers of one class stand; `outstanding` counts trials dispatched and not ended."""

    worker_class: str
    live_workers: int
    slots: int
    outstanding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """What one hand-out gave: batches to publish, and how the workers stand."""

    hand_outs: tuple[HandOut, ...]
    worker_classes: tuple[WorkerClassStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """How much more an orchestration gets: trials for each tuning run of its last stage, and limits."""

    orchestration_id: str
    trials: int
    failed_trials: int
    seconds: float
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The end of one tuning run.

    Attributes:
        epoch: of the searcher lease; None for an end by hand.
        as_of_sequence: last event the decision had seen.
        state: COMPLETED or FAILED.
        refinement: the space of the same model's tuning run in the next stage; None keeps it.
        next_planned_trials: trials that tuning run will run on the refined space.
        next_total_combinations: points of the refined space; None when infinite.
    """

    tuning_run_id: str
    epoch: int | None
    as_of_sequence: int
    state: LifecycleState
    reason: str
    message: str = ""
    refinement: Refinement | None = None
    next_planned_trials: int = 0
    next_total_combinations: int | None = None


class RequestStore(Protocol):
    """What starting and steering orchestrations needs."""

    async def find_request(self, key: RequestKey) -> Orchestration | None:
        """Gives what an earlier request with this id made; None when there was none.

        Raises: AlreadyExists: the id was used with another body.
        """
        ...

    async def get_model_run(self, model_run_id: str) -> ModelRun:
        """Raises: NotFound: there is none with this id."""
        ...

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises: NotFound: there is none with this id."""
        ...

    async def create_orchestration(
        self, plan: Plan, *, key: RequestKey | None, spec_hash: bytes
    ) -> Orchestration:
        """Creates everything in one transaction; an equal request gets what the first one made.

        A study of this name and `spec_hash` with a smaller total or smaller limits is extended.

        Raises: AlreadyExists: the request id or study name is taken by something else.
        """
        ...

    async def extend(self, extension: Extension, *, key: RequestKey) -> Orchestration:
        """Adds exactly so much, once per key, and reopens what has completed.

        Raises: NotFound; AlreadyExists: the request id was used with another body; WrongState: it
            failed or was cancelled.
        """
        ...

    async def get_orchestration(self, orchestration_id: str) -> Orchestration:
        """One consistent read: counts and states are those of `last_sequence`.

        Raises: NotFound: there is none with this id.
        """
        ...

    async def pause(self, orchestration_id: str) -> Orchestration:
        """Stops handing out trials; idempotent. Raises: NotFound, WrongState."""
        ...

    async def resume(self, orchestration_id: str) -> Orchestration:
        """Goes on after a pause; idempotent. Raises: NotFound, WrongState."""
        ...

    async def cancel(self, orchestration_id: str) -> Orchestration:
        """Ends it now, open trials CANCELLED; idempotent. Raises: NotFound, WrongState."""
        ...


class TrialReader(Protocol):
    """Reads trials and events."""

    async def get_orchestration(self, orchestration_id: str) -> Orchestration:
        """As in `RequestStore`."""
        ...

    async def list_trials(
        self, tuning_run_id: str, *, states: Sequence[TrialState] = (), limit: int | None = None
    ) -> list[Trial]:
        """All trials of a tuning run by number, page by page, with split scores of the objective alone.

        Not one consistent read: a trial may have changed after its page was read, and says so in the
        event log. `states` keeps trials in one of them; `limit` keeps the first ones.
        """
        ...

    def watch(
        self, orchestration_id: str, *, after_sequence: int
    ) -> AsyncIterator[Sequence[Event]]:
        """Pages of events from the one after `after_sequence`, without gap, to the final event.

        Raises: CursorOutOfRange, NotFound, Unavailable (the stream broke: go on from the last event).
        """
        ...


class RunCloser(TrialReader, Protocol):
    """Ends tuning runs."""

    async def close_tuning_run(self, closing: Closing) -> Orchestration:
        """Ends a tuning run, stores its refinement and starts what comes next, in one transaction.

        Raises:
            Conflict: a trial of the tuning run ended after `as_of_sequence`, or the epoch is old.
            WrongState: the tuning run has ended or has not begun.
        """
        ...


class SearchStore(RunCloser, Protocol):
    """What conducting tuning runs needs."""

    async def acquire_searchers(
        self, coordinator_id: str, *, held: Sequence[str], max_new: int
    ) -> list[SearcherLease]:
        """Renews the leases held and takes up to `max_new` free ones; gives all held afterwards."""
        ...

    async def release_searchers(self, coordinator_id: str, tuning_run_ids: Sequence[str]) -> None:
        """Gives leases back; those not held are ignored."""
        ...

    async def create_trials(
        self, tuning_run_id: str, *, epoch: int, trials: Sequence[NewTrial]
    ) -> CreatedTrials:
        """Stores queued trials within the budget; a suggestion already stored is not stored twice.

        Raises: Conflict (the epoch is old), WrongState (the tuning run does not run).
        """
        ...

    async def add_notice(
        self, tuning_run_id: str, *, epoch: int, reason: str, message: str, method_used: str
    ) -> None:
        """Appends a notice and records the method in use. Raises: Conflict, WrongState."""
        ...


class DispatchStore(Protocol):
    """What dispatching needs."""

    async def hand_out_trials(self, coordinator_id: str) -> HandedOut:
        """Picks queued trials for free workers and marks them as dispatched."""
        ...

    async def recall_trials(self, batches: Sequence[TrialBatch]) -> int:
        """Makes dispatched, unclaimed trials of these batches available again. Returns: how many."""
        ...

    async def recall_all_trials(
        self, *, dispatched_for_seconds: float = 0.0, worker_class: str = ""
    ) -> int:
        """Makes every trial available again that was dispatched so long ago and not claimed.

        Args:
            worker_class: whose queue lost them; empty for all.

        Returns: how many.
        """
        ...


class TrialDispatcher(Protocol):
    """Brings batches to workers."""

    async def publish(self, hand_outs: Sequence[HandOut]) -> list[bool]:
        """Publishes batches; idempotence is the receiver's.

        Returns: per batch whether it is certain to be in a queue.
        Raises: Unavailable: the broker cannot be reached; nothing is known of any batch.
        """
        ...

    async def depth(self, worker_class: str) -> int:
        """Messages ready in the class's queue. Raises: Unavailable."""
        ...

    def add_connected_listener(self, listener: Callable[[], None]) -> None:
        """Calls `listener` on every (re)connect: what was in the queues may be gone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTask:
    """What a searcher must know beside the trials; with the trials known it decides every point.

    Attributes:
        space: the space now, refined or not.
        original_space: the space as it was asked for, which encloses `space`.
        seed: in 0 … 2³² − 1; the stage is mixed in, so that two random stages draw other points.
        refined: whether `space` was made from earlier stages.
        explore: share of a refined space's points that look in `original_space`, 0 to 1.
        shuffled: whether a grid's points come in random order, so that a good one comes early.
        start: points that are suggested first.
        modelling_space: holds the points of all stages so far, whatever each searched (`core.modelling`);
            None where that is `original_space`.
    """

    tuning_run_id: str
    method: str
    space: SearchSpace
    original_space: SearchSpace
    seed: int
    stage_index: int
    refined: bool
    explore: float = DEFAULT_EXPLORE
    shuffled: bool = False
    start: StartPoints = NO_START_POINTS
    modelling_space: SearchSpace | None = None


class SearcherFailed(Exception):
    """A model-based searcher cannot suggest; the text says why, for people."""


class Suggesting(Protocol):
    """Asks searchers, wherever they run."""

    async def suggest(
        self, task: SearchTask, *, count: int, first_index: int, known: Sequence[Trial]
    ) -> Sequence[Suggestion]:
        """As `core.searcher.Searcher.ask` for the task's method.

        Raises: SearcherFailed: this method cannot go on; another one may.
        """
        ...

    def forget(self, tuning_run_id: str) -> None:
        """Drops what is cached for a tuning run; nothing depends on it but speed."""
        ...
