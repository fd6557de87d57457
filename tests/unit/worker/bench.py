"""A worker's session, finisher and returner at work against a store in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from services.core.errors import (
    FieldViolation,
    InvalidRequest,
    Unavailable,
)
from services.core.pruning import PruneDecision, Threshold
from services.core.trial import TrialKey, TrialResult, TrialState
from services.worker.ports import (
    Claim,
    FinishAnswers,
    FinishOutcome,
    Order,
    ReportAnswer,
    RunSpec,
    Session,
    StepReport,
    TrialBatch,
)
from services.worker.service.finishing import Finisher
from services.worker.service.holding import Holding, Work
from services.worker.service.returning import Returner
from services.worker.service.session import Presence, SessionKeeper
from services.worker.service.thresholds import Thresholds

DEADLINE = 60.0


def key(number: int) -> TrialKey:
    return TrialKey(orchestration_id="o", number=number, attempt=0)


def result(number: int) -> TrialResult:
    return TrialResult(trial=key(number), state=TrialState.SUCCEEDED)


def work(number: int) -> Work:
    return Work(key=key(number), session_id="s1", tuning_run_id="r", parameters={})


class MemoryStore:
    """Takes results; `failures` are raised first, one per finish or return."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.senders: list[str] = []
        self.returned: list[list[int]] = []
        self.reported: list[list[tuple[int, int]]] = []
        self.stops: dict[int, PruneDecision] = {}
        self.failures: list[Exception] = []
        self.refused: set[int] = set()
        self.choking: dict[int, Exception] = {}
        self.registering = asyncio.Event()
        self.registering.set()
        self.sessions = 0
        self.ended: set[str] = set()
        self.thresholds: dict[str, Threshold] = {}

    async def register(self, *, worker_class: str, worker_name: str, slots: int) -> Session:
        self.sessions += 1
        await self.registering.wait()
        return Session(session_id=f"s{self.sessions}", lease_seconds=35, beat_seconds=10)

    async def heartbeat(
        self, session_id: str, *, held: Sequence[TrialKey], free_slots: int
    ) -> Sequence[Order]:
        return []

    async def listen(self, session_id: str) -> AsyncIterator[Sequence[Order]]:
        await asyncio.get_running_loop().create_future()
        yield []

    async def close_session(self, session_id: str) -> None:
        self.ended.add(session_id)

    async def evaluation_spec(self, tuning_run_id: str) -> RunSpec:
        raise Unavailable("none here")

    async def claim(self, session_id: str, claim_id: str, batch: TrialBatch) -> Claim:
        return Claim(trials=())

    async def return_trials(self, session_id: str, trials: Sequence[TrialKey]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.returned.append([each.number for each in trials])

    async def decline_trials(self, session_id: str, trials: Sequence[TrialKey]) -> None:
        """Nothing is kept."""

    async def report_steps(self, session_id: str, steps: Sequence[StepReport]) -> ReportAnswer:
        if self.failures:
            raise self.failures.pop(0)
        self.reported.append([(each.trial.number, each.score.step) for each in steps])
        return ReportAnswer(
            stops={
                each.trial: self.stops[each.trial.number]
                for each in steps
                if each.trial.number in self.stops
            },
            thresholds=self.thresholds,
        )

    async def finish(self, session_id: str, results: Sequence[TrialResult]) -> FinishAnswers:
        if self.failures:
            raise self.failures.pop(0)
        numbers = [each.trial.number for each in results]
        for number in numbers:
            if number in self.choking:
                raise self.choking[number]
        if self.refused.intersection(numbers):
            raise InvalidRequest([FieldViolation(field="results", description="refused")])
        self.batches.append(numbers)
        self.senders.append(session_id)
        return FinishAnswers(
            outcomes=(FinishOutcome.DONE,) * len(results), thresholds=self.thresholds
        )


class CountingRecord:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.answers: list[FinishOutcome | None] = []

    def claimed(self, *, taken: int, later: int, stale: int) -> None:
        """Nothing is kept."""

    def ended(self, result: TrialResult | None) -> None:
        """Nothing is kept."""

    def answered(self, outcome: FinishOutcome | None) -> None:
        self.answers.append(outcome)


class Bench:
    """A session and a finisher at work."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.holding = Holding(2)
        presence = Presence(
            worker_class="default",
            worker_name="w",
            slots=2,
            held=self.holding.held,
            free_slots=self.holding.free_slots,
        )
        self.session = SessionKeeper(self.store, presence, on_orders=lambda _: None)
        self.record = CountingRecord()
        self.thresholds = Thresholds()
        self.finisher = Finisher(
            self.store, self.session, self.holding, self.thresholds, self.record
        )
        self.returner = Returner(self.store, self.session)

    async def settle(self) -> None:
        """Lets everything that can happen now happen."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def finish(self, *numbers: int, session_id: str = "s1") -> None:
        for number in numbers:
            self.holding.stopped(work(number), to_finish=True)
            self.finisher.submit(result(number), session_id=session_id, at_once=False)
        assert await self.finisher.wait_empty(patience_seconds=DEADLINE)


@contextlib.asynccontextmanager
async def at_work(bench: Bench) -> AsyncIterator[Bench]:
    tasks = [
        asyncio.create_task(bench.session.run()),
        asyncio.create_task(bench.finisher.run()),
        asyncio.create_task(bench.returner.run()),
    ]
    yield bench
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
