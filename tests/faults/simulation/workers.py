"""Simulated workers: sessions, beats, claims, runs, results, returns; they die, freeze and come late."""

from __future__ import annotations

import contextlib
import math
from typing import Any

from services.core.errors import CrescendoError, NotFound, Unavailable, WrongState
from services.core.trial import Failure, FailureKind, SplitScores, TrialKey, TrialResult, TrialState
from services.store.app import UseCases
from services.store.ports.results import Batch, FinishOutcome, Order, Reported, StepReport
from tests.faults.simulation.network import Replica
from tests.faults.simulation.parts import BEAT_SECONDS, Parts
from tests.faults.simulation.scheduler import Process, Waiting

_SCORES = (0.1, 0.5, 0.5, 0.9, 0.25)
_SPLITS = 2
_FAILURES = (
    FailureKind.EXCEPTION,
    FailureKind.TIMEOUT,
    FailureKind.OOM,
    FailureKind.CRASH,
    FailureKind.CRASH,
    FailureKind.INFRA,
)


class Worker(Process):
    """One worker process.

    Attributes:
        streams: session streams that are open, as (replica, session, listener).
        failing: share of the trials that fail in its hands.
    """

    def __init__(self, parts: Parts, name: str, *, slots: int, failing: float) -> None:
        super().__init__(parts.scheduler, name)
        self._parts = parts
        self._slots = slots
        self._failing = failing
        self._session: str | None = None
        # Every attempt from the claim's answer to the answer to its result.
        self._held: dict[TrialKey, bool] = {}
        self._claimed_under: dict[TrialKey, str] = {}
        self._results: list[TrialResult] = []
        self._draining = False
        self._busy = 0
        self.stream: tuple[Replica, str, str] | None = None
        self.is_done = False
        self.spawn(self._keep_session())
        self.spawn(self._consume())
        self.spawn(self._finish())

    def obey(self, orders: list[Order]) -> None:
        """Stops what it is told to stop."""
        for each in orders:
            if each.trial in self._held:
                self._held[each.trial] = False

    def drain(self) -> None:
        """Asks it to finish what it has and go."""
        self._draining = True

    async def _keep_session(self) -> None:
        parts = self._parts
        while True:
            if self._session is None:
                try:
                    session = await parts.call(
                        self,
                        "register",
                        self.name,
                        lambda cases: cases.sessions.register(
                            worker_class="default", worker_name=self.name, slots=self._slots
                        ),
                    )
                except CrescendoError:
                    await parts.sleep(0.2, 2.0)
                    continue
                self._session = session.session_id
            if await self._beat() and self.stream is None:
                await self._listen()
            await parts.scheduler.sleep(BEAT_SECONDS)

    async def _beat(self) -> bool:
        session, held = self._session, list(self._held)
        assert session is not None
        try:
            orders = await self._parts.call(
                self,
                "beat",
                (session, sorted((each.number, each.attempt) for each in held)),
                lambda cases: cases.sessions.beat(
                    session, held=held, free_slots=max(0, self._slots - self._busy)
                ),
            )
        except Unavailable:
            return False
        except (NotFound, WrongState):
            self._session, self.stream = None, None
            return False
        self.obey(orders)
        return True

    async def _listen(self) -> None:
        parts, session = self._parts, self._session
        replica = parts.random.choice(parts.replicas)
        if session is None:
            return
        try:
            listener = await parts.network.call(
                self, replica, "listen", session, lambda cases: cases.sessions.open_stream(session)
            )
        except CrescendoError:
            return
        self.stream = (replica, session, listener)

    async def _consume(self) -> None:
        parts = self._parts
        while not self._draining:
            batch = None if self._busy >= self._slots else parts.queue.take()
            if batch is None:
                await parts.sleep(0.3, 1.2)
                continue
            if not parts.is_calm and parts.random.random() < 0.03:
                # Not acknowledged before the connection broke: it comes again.
                parts.queue.put(batch)
            if parts.random.random() < 0.03:
                await self._give_back([], [batch])
                continue
            await self._claim(batch)
        await self._leave()

    async def _claim(self, batch: Batch) -> None:
        parts, claim_id = self._parts, self._parts.new_id()
        given_up = parts.scheduler.now + 30.0
        while parts.scheduler.now < given_up:
            session = self._session
            if session is None:
                await parts.sleep(0.2, 1.0)
                continue
            try:
                claimed = await self._ask(session, claim_id, batch)
            except CrescendoError:
                await parts.sleep(0.1, 1.0)
                continue
            for each in claimed.trials:
                key = TrialKey(
                    orchestration_id=batch.orchestration_id,
                    number=each.number,
                    attempt=each.attempt,
                )
                self._held[key] = True
                self._claimed_under[key] = session
                self._busy += 1
                self.spawn(self._run(key))
            return

    def _ask(self, session: str, claim_id: str, batch: Batch) -> Waiting:
        return self._parts.call(
            self,
            "claim",
            (session, claim_id, batch.orchestration_id, batch.trials),
            lambda cases: cases.claims.claim(
                session_id=session,
                claim_id=claim_id,
                orchestration_id=batch.orchestration_id,
                tuning_run_id=batch.tuning_run_id,
                trials=batch.trials,
            ),
        )

    def _send(self, session: str, batch: list[TrialResult]) -> Waiting:
        return self._parts.call(
            self,
            "finish",
            (session, [(each.trial, each.state.value) for each in batch]),
            lambda cases: _outcomes(cases, session, batch),
        )

    async def _run(self, key: TrialKey) -> None:
        parts, random = self._parts, self._parts.random
        seconds = random.choice((0.05, 0.5, 2.0, 8.0, 20.0)) * random.uniform(0.5, 1.5)
        scores = [random.choice(_SCORES) for _ in range(_SPLITS)]
        if random.random() < 0.02:
            scores[1] = random.choice((math.nan, math.inf, -math.inf))
        for split, score in enumerate(scores):
            await parts.scheduler.sleep(seconds / _SPLITS)
            if not self._held.get(key, False):
                break
            if random.random() < 0.3 and await self._report(
                StepReport(trial=key, step=split + 1, value=score)
            ):
                scores = scores[: split + 1]
                break
        self._busy -= 1
        if not self._held.get(key, False):
            # Told to stop: it is forgotten, and nothing is reported.
            self._held.pop(key, None)
            return
        self._results.append(self._result(key, scores, seconds))

    def _result(self, key: TrialKey, scores: list[float], seconds: float) -> TrialResult:
        random = self._parts.random
        if random.random() < self._failing:
            kind = random.choice(_FAILURES)
            return TrialResult(
                trial=key,
                state=TrialState.FAILED,
                failure=Failure(kind=kind, message=f"{kind.name} on {self.name}"),
                duration_seconds=seconds,
            )
        return TrialResult(
            trial=key,
            state=TrialState.SUCCEEDED if len(scores) == _SPLITS else TrialState.PRUNED,
            metrics=(SplitScores(metric="accuracy", scores=tuple(scores)),),
            fit_seconds=seconds * 0.8,
            score_seconds=seconds * 0.1,
            duration_seconds=seconds,
        )

    async def _report(self, step: StepReport) -> bool:
        """Returns: whether the trial is to end PRUNED."""
        session = self._claimed_under[step.trial]
        try:
            told: Reported = await self._parts.call(
                self,
                "report",
                (session, step.trial.number, step.trial.attempt, step.step),
                lambda cases: cases.steps.report(session, [step]),
            )
        except CrescendoError:
            return False
        self.obey(list(told.orders))
        return step.trial in told.stops

    async def _finish(self) -> None:
        parts = self._parts
        while True:
            if not self._results:
                await parts.sleep(0.05, 0.8)
                continue
            session = self._claimed_under[self._results[0].trial]
            batch = [
                each for each in self._results[:4] if self._claimed_under[each.trial] == session
            ]
            if parts.random.random() < 0.1:
                batch.append(batch[0])
            try:
                await self._send(session, batch)
            except CrescendoError:
                await parts.sleep(0.1, 2.0)
                continue
            for each in batch:
                self._held.pop(each.trial, None)
            self._results = [each for each in self._results if each not in batch]

    async def _give_back(self, keys: list[TrialKey], unclaimed: list[Batch]) -> None:
        session = self._session
        if session is None:
            return

        async def give_back(cases: Any) -> None:
            await cases.requeueing.handed_back(session, keys)
            await cases.hand_outs.recall(unclaimed)

        try:
            await self._parts.call(self, "give_back", (len(keys), len(unclaimed)), give_back)
        except CrescendoError:
            return
        for each in keys:
            self._held[each] = False

    async def _leave(self) -> None:
        parts = self._parts
        await self._give_back([each for each in self._held if parts.random.random() < 0.5], [])
        for _ in range(20):
            if not self._results and not any(self._held.values()):
                break
            await parts.sleep(0.5, 1.0)
        session = self._session
        if session is not None:
            with contextlib.suppress(CrescendoError):
                await parts.call(
                    self, "close_session", session, lambda cases: cases.sessions.close(session)
                )
        self.is_done = True
        # The process ends as soon as this actor does.
        parts.scheduler.after(0.0, self.kill)


async def _outcomes(cases: UseCases, session: str, batch: list[TrialResult]) -> list[FinishOutcome]:
    return list((await cases.results.finish(session, batch)).outcomes)
