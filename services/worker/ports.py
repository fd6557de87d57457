"""What a worker needs from outside, and the values it exchanges with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from services.core.intervals import IntervalMethod, SplitFacts
from services.core.objective import EvaluationSpec
from services.core.pruning import Place, PruneDecision, Threshold
from services.core.pruning_settings import Pruning
from services.core.space import Assignment
from services.core.step_judging import StepScore
from services.core.trial import Failure, SplitScores, TrialKey, TrialResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBatch:
    """Trials of one tuning run that a message says should be claimed.

    `request_id` is that of the request that started them, for logs; made up where there was none.
    """

    orchestration_id: str
    tuning_run_id: str
    trials: tuple[TrialKey, ...]
    request_id: str = ""


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
    """A trial that is this session's, with what to evaluate.

    `candidate_index` is its place in scikit-learn's ParameterGrid; None without one.
    """

    key: TrialKey
    parameters: Assignment
    candidate_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What came of a claim: trials now ours, trials over a limit (later), trials of others (stale).

    `threshold` is what the trials must beat to be finished; None while none is stopped early.
    """

    trials: tuple[ClaimedTrial, ...]
    later: int = 0
    stale: int = 0
    threshold: Threshold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What all trials of a tuning run have in common; `pruning` None where none is stopped early."""

    evaluation: EvaluationSpec
    pruning: Pruning | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step of a running trial."""

    trial: TrialKey
    score: StepScore


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAnswer:
    """How steps were taken: trials to stop and why, and what others of their tuning runs must beat, by id."""

    orders: tuple[Order, ...] = ()
    stops: Mapping[TrialKey, PruneDecision] = field(default_factory=dict)
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)


class FinishOutcome(Enum):
    """How the store took a result; every one of them is final."""

    DONE = "done"
    DUPLICATE = "duplicate"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishAnswers:
    """How results were taken, in their order, and what others of their tuning runs must beat now, by id."""

    outcomes: tuple[FinishOutcome, ...]
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)


class Record(Protocol):
    """Keeps count of what happens, for whoever watches the worker."""

    def claimed(self, *, taken: int, later: int, stale: int) -> None:
        """Notes the store's answer to a claim, in trials."""
        ...

    def ended(self, result: TrialResult | None) -> None:
        """Notes the end of a trial; None for one that was stopped and is nobody's business any more."""
        ...

    def answered(self, outcome: FinishOutcome | None) -> None:
        """Notes the store's answer to a result; None for one it refused."""
        ...


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

    async def evaluation_spec(self, tuning_run_id: str) -> RunSpec:
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

    async def report_steps(self, session_id: str, steps: Sequence[StepReport]) -> ReportAnswer:
        """Reports steps of trials that were claimed under a session, which may have ended since.

        A report that is repeated has the same answer.
        """
        ...

    async def finish(self, session_id: str, results: Sequence[TrialResult]) -> FinishAnswers:
        """Ends trials that were claimed under a session, which may have ended since.

        Returns: one answer per result, in order.
        """
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

    `key` names the preparation: equal keys mean equal specs. `pruning` is None where no trial is stopped
    early.
    """

    key: str
    spec: EvaluationSpec
    dataset: Path
    pruning: Pruning | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came of evaluating one assignment.

    `metrics` holds the finished splits after a failure, and where `prune_decision` says why there are
    no more.
    """

    metrics: tuple[SplitScores, ...] = ()
    failure: Failure | None = None
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    prune_decision: PruneDecision | None = None
    splits: tuple[SplitFacts, ...] = ()
    interval_method: IntervalMethod = IntervalMethod.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """What an evaluation must beat to be worth finishing, and its own place among equals."""

    threshold: Threshold
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """How an evaluation goes on: not at all with `stop`; else by a standard, where a new one is known."""

    stop: PruneDecision | None = None
    standard: Standard | None = None


class Advisor(Protocol):
    """Hears of the steps of an evaluation and says how it goes on."""

    async def __call__(self, score: StepScore, *, waits: bool) -> Advice:
        """Takes a step.

        Args:
            waits: whether the evaluation stands still until this returns; it is to be at once otherwise.
        """
        ...


class Evaluator(Protocol):
    """Fits and scores, apart from this process: nothing an estimator does can hurt the caller."""

    async def evaluate(
        self,
        preparation: Preparation,
        parameters: Assignment,
        *,
        timeout_seconds: float | None,
        on_split: Callable[[int, float], None],
        standard: Standard | None = None,
        advisor: Advisor | None = None,
    ) -> Evaluation:
        """Evaluates one assignment.

        Failures of the evaluation, the death of its process included, are values, never exceptions.
        Cancelling the call kills the evaluation.

        Args:
            timeout_seconds: wall limit; past it the evaluation is killed (TIMEOUT).
            on_split: hears of each scored split once the evaluation has run for a second.
            standard: stops after the split from which on it cannot be met; None scores every split.
            advisor: hears of every step where a rule that guesses is asked for, and else with `on_split`;
                its advice is followed after the step it waited for, or a later one.
        """
        ...
