"""Everything people and limits do to a search, against its trials' ends, in every order, on two stores."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from random import Random

import pytest

from services.core.budget import UNLIMITED, Budget
from services.core.errors import Conflict, InvalidRequest, Unavailable, WrongState
from services.core.plan import LifecycleState
from services.core.run import Orchestration, TuningRun
from services.core.trial import FailureKind, TrialKey
from services.store.adapters.postgres.database import Database, open_database
from services.store.app import use_cases
from services.store.ports.results import FinishOutcome
from services.store.service.plans import Change, Extension
from services.store.settings import StoreSettings
from tests.integration.store.scenario import Scenario, failure, success

STATE = LifecycleState
BUDGETS = (
    UNLIMITED,
    Budget(max_trials=14),
    Budget(max_failed_trials=2),
    Budget(max_seconds=0.7),
    Budget(max_cost=0.5, price_per_hour=3600, trial_timeout_seconds=0.2),
    Budget(
        max_trials=20,
        max_failed_trials=6,
        max_seconds=20,
        max_cost=50,
        price_per_hour=3600,
        trial_timeout_seconds=0.5,
    ),
)


@pytest.fixture
async def second(settings: StoreSettings, database: Database) -> AsyncIterator[Scenario]:
    """Another store on the same database."""
    async with open_database(settings.postgres_dsn) as other:
        yield Scenario(use_cases(settings, other), other)


class Search:
    """One search with its coordinator, workers and a person who cannot leave it alone."""

    def __init__(
        self, stores: tuple[Scenario, Scenario], started: Orchestration, seed: int
    ) -> None:
        self.stores = stores
        self.identifier = started.orchestration_id
        self.budget = started.budget
        self.random = Random(seed)
        self.added = 0
        self.over = False

    @property
    def store(self) -> Scenario:
        return self.random.choice(self.stores)

    async def now(self) -> Orchestration:
        return await self.store.cases.runs.orchestration(self.identifier)

    async def nap(self, most: float = 0.02) -> None:
        await asyncio.sleep(self.random.random() * most)

    async def tried(self, action: Callable[[], Awaitable[object]]) -> bool:
        """Whether an action was taken; what another was faster to change is refused.

        Asked again until there is an answer, as clients do whose store cannot reach its database.
        """
        while True:
            try:
                await action()
            except (WrongState, Conflict):
                return False
            except Unavailable:
                await self.nap()
            else:
                return True

    async def coordinate(self) -> None:
        """Creates trials a window ahead, and closes tuning runs that have nothing left."""
        while not self.over:
            now = await self.now()
            for run in (run for stage in now.stages for run in stage.tuning_runs):
                if run.state is STATE.RUNNING:
                    await self.tried(partial(self.conduct, now, run))
            await self.nap()

    async def conduct(self, now: Orchestration, run: TuningRun) -> None:
        counts = run.counts
        created = counts.completed + counts.queued + counts.running
        left = counts.total - created
        if left:
            made = await self.store.queue(run.tuning_run_id, min(left, 4), first=created)
            left = made.remaining
            if made.created:
                return
        if left == 0 and counts.queued + counts.running == 0:
            state = STATE.COMPLETED if counts.succeeded else STATE.FAILED
            await self.store.close(now, run, state, as_of=now.last_sequence)

    async def work(self, session: str) -> None:
        """Takes what is handed out; trials succeed, fail, crash, are handed back, lost, told twice."""
        while not self.over:
            for each in (await self.store.cases.hand_outs.hand_out()).hand_outs:
                if each.batch.orchestration_id != self.identifier:
                    continue
                claimed = await self.store.cases.claims.claim(
                    session_id=session,
                    claim_id=str(uuid.uuid4()),
                    orchestration_id=self.identifier,
                    tuning_run_id=each.batch.tuning_run_id,
                    trials=each.batch.trials,
                )
                for trial in claimed.trials:
                    await self.run_trial(session, trial.number, trial.attempt)
            await self.nap()

    async def run_trial(self, session: str, number: int, attempt: int) -> None:
        key = TrialKey(orchestration_id=self.identifier, number=number, attempt=attempt)
        fate = self.random.random()
        done = success(self.identifier, number, self.random.random(), attempt=attempt, seconds=0.05)
        await self.nap(0.01)
        if fate < 0.1 and attempt == 0:
            await self.store.cases.requeueing.lost(session, [key])
            # What was reserved is held for a minute if nothing more is heard: no test waits that long.
            if fate < 0.05 or self.budget.reserves:
                await self.store.finish(done, session_id=session)
        elif fate < 0.15:
            await self.store.cases.requeueing.handed_back(session, [key])
        elif fate < 0.3:
            kind = self.random.choice([FailureKind.EXCEPTION, FailureKind.OOM])
            await self.store.finish(
                failure(self.identifier, number, kind, attempt=attempt), session_id=session
            )
        else:
            (outcome,) = await self.store.finish(done, session_id=session)
            (again,) = await self.store.finish(done, session_id=session)
            assert again is not FinishOutcome.DONE, outcome

    async def interfere(self, steps: int) -> None:
        """Pauses, resumes, triggers, extends and perhaps cancels, at any moment."""
        plans = self.store.cases.plans
        for _ in range(steps):
            await self.nap(0.08)
            match self.random.randrange(8):
                case 0 | 1:
                    await self.tried(partial(plans.change, self.identifier, Change.PAUSE))
                case 2 | 3:
                    await self.tried(partial(plans.change, self.identifier, Change.RESUME))
                case 4:
                    await self.tried(self.trigger)
                case 5 | 6:
                    await self.extend()
                case _ if self.random.random() < 0.1:
                    await self.tried(partial(plans.change, self.identifier, Change.CANCEL))
        await self.tried(partial(plans.change, self.identifier, Change.RESUME))

    async def trigger(self) -> None:
        now = await self.now()
        for run in (run for stage in now.stages for run in stage.tuning_runs):
            if run.state is STATE.RUNNING and run.counts.succeeded:
                await self.store.close(now, run, as_of=now.last_sequence)

    async def extend(self) -> None:
        """Asks for more, twice at once with the same request id: it must count once."""
        key = replace(self.stores[0].key(), rpc="ExtendOrchestration")
        count = self.random.randint(1, 3)
        extension = Extension(trials=count)

        async def ask(store: Scenario) -> None:
            await store.cases.plans.extend(self.identifier, extension, tenant="default", key=key)

        done = await asyncio.gather(*(self.tried(partial(ask, store)) for store in self.stores))
        self.added += count if any(done) else 0

    async def keep(self) -> None:
        """Both stores' keepers tick, as often as they can."""
        while not self.over:
            await asyncio.gather(*(store.cases.keeper.tick() for store in self.stores))
            await self.nap()

    async def live(self) -> None:
        """Lets everybody do their part until the search has ended and nobody wants anything of it."""
        sessions = [await self.store.session(slots=3, name=f"w{place}") for place in range(3)]
        async with asyncio.TaskGroup() as group:
            group.create_task(self.coordinate())
            group.create_task(self.keep())
            for session in sessions:
                group.create_task(self.work(session))
            await self.interfere(steps=12)
            # Nobody leaves before that: a person may still extend what has ended.
            while not (await self.now()).state.is_terminal:
                await self.nap()
            self.over = True


@pytest.mark.parametrize("seed", range(18))
async def test_whatever_happens_in_whatever_order_every_trial_ends_once(
    scenario: Scenario, second: Scenario, seed: int
) -> None:
    budget = BUDGETS[seed % len(BUDGETS)]
    planned, shape = 6, [(1, 1), (2,), (1, 2), (3,)][seed % 4]
    started = await scenario.start(
        stages=shape,
        planned=planned,
        max_active=seed % 3,
        max_concurrent=(seed % 5) * 2,
        methods=("random_search", "bayesian"),
        combinations=None,
        budget=budget,
    )
    search = Search((scenario, second), started, seed)
    async with asyncio.timeout(150):
        await search.live()
    ended = await search.now()
    await scenario.check(search.identifier)
    assert all(stage.state.is_terminal for stage in ended.stages)
    assert ended.counts.completed == ended.counts.total or ended.state is not STATE.COMPLETED
    last = ended.stages[-1].tuning_runs
    for run in last:
        # Exactly so many as were asked for in all; one ended by hand had fewer when it was extended.
        assert run.trial_budget is not None
        assert run.trial_budget <= planned + search.added
        created = run.counts.completed
        assert created <= run.trial_budget
        if run.state is STATE.COMPLETED and ended.reason == "COMPLETED" and run.counts.total:
            assert created == run.counts.total
    if budget.max_trials is not None and ended.budget.max_trials is not None:
        assert ended.budget.max_trials <= budget.max_trials + search.added * len(last)
        assert ended.counts.completed <= ended.budget.max_trials
    if ended.reason == "TOO_MANY_FAILURES":
        assert budget.max_failed_trials is not None
        assert ended.counts.failed == budget.max_failed_trials + 1


async def test_an_extension_that_adds_to_a_limit_that_is_not_set_changes_nothing(
    scenario: Scenario,
) -> None:
    started = await scenario.start(methods=("random_search",), combinations=None)
    with pytest.raises(InvalidRequest, match="max_cost"):
        await scenario.cases.plans.extend(
            started.orchestration_id,
            Extension(trials=3, cost=1.0),
            tenant="default",
            key=scenario.key(),
        )
    now = await scenario.cases.runs.orchestration(started.orchestration_id)
    assert (now.counts.total, now.last_sequence) == (3, started.last_sequence)
