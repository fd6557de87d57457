"""What a worker needs from outside, and the values it exchanges with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from services.core.objective import EvaluationSpec
from services.core.space import Assignment
from services.core.trial import Failure, SplitScores, TrialKey, TrialResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBatch:
    """Trials of one tuning run that a message says should be claimed."""

    orchestration_id: str
    tuning_run_id: str
    trials: tuple[TrialKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A worker's presence; the lease ends `lease_seconds` after the last beat."""

    session_id: str
    lease_seconds: float
    beat_seconds: float


class OrderKind(Enum):
    """What the store wants done about a trial."""

    CANCEL = "cancel"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """CANCEL: stop and forget. PRUNE: stop and finish as PRUNED."""

    kind: OrderKind
    trial: TrialKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTrial:
    """A trial that is this session's, with what to evaluate."""

    key: TrialKey
    parameters: Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What came of a claim: trials now ours, trials over a limit (later), trials of others (stale)."""

    trials: tuple[ClaimedTrial, ...]
    later: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldReport:
    """One scored fold of a running trial; `split` counts from 0, `score` is the objective."""

    trial: TrialKey
    split: int
    score: float


class FinishOutcome(Enum):
    """How the store took a result; every one of them is final."""

    DONE = "done"
    DUPLICATE = "duplicate"
    FENCED = "fenced"


class TrialStore(Protocol):
    """The store, as workers see it.

    Every call has a deadline and raises a `CrescendoError`: Unavailable when the store cannot be
    reached (whether the call was executed is then not known; all calls are safe to repeat), NotFound
    or WrongState when the session is not known any more.
    """

    async def register(self, *, worker_class: str, worker_name: str, slots: int) -> Session:
        """Opens a session."""
        ...

    async def heartbeat(
        self, session_id: str, *, held: Sequence[TrialKey], free_slots: int
    ) -> Sequence[Order]:
        """Renews the lease and lists every attempt held."""
        ...

    def listen(self, session_id: str) -> AsyncIterator[Sequence[Order]]:
        """Streams orders until the stream breaks or the session ends."""
        ...

    async def close_session(self, session_id: str) -> None:
        """Ends the session; trials still held are queued again."""
        ...

    async def evaluation_spec(self, tuning_run_id: str) -> EvaluationSpec:
        """Gives what all trials of a tuning run have in common; it never changes."""
        ...

    async def claim(self, session_id: str, claim_id: str, batch: TrialBatch) -> Claim:
        """Claims trials; the same claim id gives the same answer."""
        ...

    async def return_trials(self, session_id: str, trials: Sequence[TrialKey]) -> None:
        """Gives claimed trials up; they are handed out again at once, under a new attempt."""
        ...

    async def decline_trials(self, session_id: str, trials: Sequence[TrialKey]) -> None:
        """Hands dispatched trials back that were not claimed; those that run are left alone."""
        ...

    async def report_folds(self, session_id: str, folds: Sequence[FoldReport]) -> Sequence[Order]:
        """Reports scored folds of running trials."""
        ...

    async def finish(
        self, session_id: str, results: Sequence[TrialResult]
    ) -> Sequence[FinishOutcome]:
        """Ends trials; one answer per result, in order."""
        ...


class Datasets(Protocol):
    """Datasets on this machine."""

    async def folder(self, dataset_id: str, dataset_hash: str) -> Path:
        """Gives the folder of a dataset, downloading it if this machine does not have it.

        The folder stays while this process lives. Raises: Unavailable: the store cannot be reached;
        DatasetError: what the store sent is not the dataset that was asked for.
        """
        ...


class DatasetError(Exception):
    """A dataset's bytes are not what they should be."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preparation:
    """Everything a child needs before it can evaluate trials of one tuning run.

    `key` names the preparation: equal keys mean equal specs.
    """

    key: str
    spec: EvaluationSpec
    dataset: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came of evaluating one assignment; `metrics` holds the finished splits after a failure."""

    metrics: tuple[SplitScores, ...] = ()
    failure: Failure | None = None
    fit_seconds: float = 0.0
    score_seconds: float = 0.0


class Evaluator(Protocol):
    """Fits and scores, apart from this process: nothing an estimator does can hurt the caller."""

    async def evaluate(
        self,
        preparation: Preparation,
        parameters: Assignment,
        *,
        timeout_seconds: float | None,
        on_split: Callable[[int, float], None],
    ) -> Evaluation:
        """Evaluates one assignment.

        Failures of the evaluation, the death of its process included, are values, never exceptions.
        Cancelling the call kills the evaluation.

        Args:
            timeout_seconds: wall limit; past it the evaluation is killed (TIMEOUT).
            on_split: hears of each scored split once the evaluation has run for a second.
        """
        ...
