"""Conducting: whole searches on a store in memory, with answers lost and coordinators replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.ports import SearcherFailed, SearchTask, WorkerClassStatus
from services.coordinator.service.bell import Bell
from services.coordinator.service.capacity import Capacity
from services.coordinator.service.closing import most_frequent_failure
from services.coordinator.service.conducting import Conductor
from services.coordinator.service.following import Followers
from services.coordinator.service.leasing import SearcherLeases
from services.core.errors import InvalidRequest, WrongState
from services.core.plan import LifecycleState, Plan
from services.core.run import Orchestration
from services.core.searcher import Suggestion
from services.core.trial import Failure, FailureKind, Trial, TrialState
from tests.unit.coordinator.memory_search import MemorySearchStore
from tests.unit.coordinator.plans import (
    bayesian_plan,
    comparison_plan,
    grid_plan,
    progressive_plan,
    random_plan,
)
from tests.unit.core.strategies import make_trial


class InlineSuggesting:
    """Every searcher in this process; `failure` makes the model-based ones fail."""

    def __init__(self) -> None:
        self.failure = ""
        self.most_pending = 0

    async def suggest(
        self, task: SearchTask, *, count: int, first_index: int, known: Sequence[Trial]
    ) -> Sequence[Suggestion]:
        if task.method == "bayesian":
            pending = sum(not trial.state.is_terminal for trial in known)
            self.most_pending = max(self.most_pending, pending + count)
            if self.failure:
                raise SearcherFailed(self.failure)
        return make_searcher(task).ask(count=count, first_index=first_index, known=known)

    def forget(self, tuning_run_id: str) -> None:
        pass


@asynccontextmanager
async def coordinator(
    store: MemorySearchStore, name: str = "c-1", *, slots: int = 2
) -> AsyncIterator[InlineSuggesting]:
    """Conducts everything `store` holds until the context is left."""
    suggesting, capacity = InlineSuggesting(), Capacity()
    capacity.hear(
        [WorkerClassStatus(worker_class="default", live_workers=1, slots=slots, outstanding=0)]
    )

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            leases = Bell()
            conductor = Conductor(
                store=store,
                suggesting=suggesting,
                followers=Followers(store, tasks),
                capacity=capacity,
                dispatch=Bell(),
                leases=leases,
            )
            await SearcherLeases(
                store=store,
                coordinator_id=name,
                conduct=conductor.conduct,
                bell=leases,
                tasks=tasks,
            ).run()

    task = asyncio.create_task(work())
    try:
        yield suggesting
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def score(trial: Trial) -> float:
    """Best at C = 10, degree = 2."""
    cost, degree = trial.parameters["C"], trial.parameters["degree"]
    return 1.0 - abs(float(cost) - 10) / 1000 - abs(int(degree) - 2) / 10  # type: ignore[arg-type]  # no tuples


async def work(
    store: MemorySearchStore,
    *,
    until: Callable[[], bool] | None = None,
    scored: Callable[[Trial], float | None] = score,
) -> None:
    """Finishes what waits, two at a time, until the orchestration has ended."""
    async with asyncio.timeout(240):
        while not store.state.is_terminal and not (until and until()):
            for trial in store.waiting()[:2]:
                store.finish(trial.number, scored(trial))
            await asyncio.sleep(0.001)


def by_suggestion(store: MemorySearchStore) -> list[tuple[int, int, str]]:
    return [(t.stage_index, t.suggestion_index, str(t.parameters)) for t in store.trials]


async def complete(plan: Plan) -> MemorySearchStore:
    store = MemorySearchStore(plan)
    async with coordinator(store):
        await work(store)
    return store


async def test_a_grid_runs_every_point_once_and_ends() -> None:
    store = await complete(grid_plan())
    assert store.state is LifecycleState.COMPLETED
    assert sorted(t.candidate_index for t in store.trials if t.candidate_index is not None) == [
        *range(12)
    ]
    assert store.closings[0].reason == "SPACE_EXHAUSTED"


async def test_a_random_search_spends_exactly_its_budget() -> None:
    store = await complete(random_plan(9))
    assert len(store.trials) == 9
    assert store.closings[0].reason == "BUDGET_SPENT"


async def test_a_random_search_larger_than_its_space_ends_with_the_space() -> None:
    store = await complete(random_plan(40))
    assert len({str(trial.parameters) for trial in store.trials}) == len(store.trials) == 12
    assert store.closings[0].reason == "SPACE_EXHAUSTED"


async def test_a_progressive_search_goes_through_three_refined_stages() -> None:
    store = await complete(progressive_plan(n_random=6, n_bayesian=5))
    assert [sum(t.stage_index == index for t in store.trials) for index in range(3)] == [12, 6, 5]
    assert [closing.refinement is not None for closing in store.closings] == [True, True, False]
    evidence = store.closings[1].refinement
    assert evidence is not None
    assert evidence.best_trial_number == evidence.evidence_trial_numbers[0]


async def test_a_model_based_run_has_few_more_pending_than_slots() -> None:
    store = MemorySearchStore(bayesian_plan(10))
    async with coordinator(store, slots=3) as suggesting:
        await work(store)
    assert len(store.trials) == 10
    # As many again are suggested ahead of trials as quick as these.
    assert 3 <= suggesting.most_pending <= 6


async def test_a_limit_on_concurrent_trials_limits_what_is_pending() -> None:
    store = MemorySearchStore(bayesian_plan(6, max_concurrent=1))
    async with coordinator(store, slots=3) as suggesting:
        await work(store)
    assert suggesting.most_pending == 1


async def test_a_searcher_that_fails_is_replaced_and_the_run_says_so() -> None:
    store = MemorySearchStore(bayesian_plan(8))
    async with coordinator(store) as suggesting:
        suggesting.failure = "the matrix is singular"
        await work(store)
    assert store.state is LifecycleState.COMPLETED
    assert len(store.trials) == 8
    assert store.runs[0].method_used == "random_search"
    (notice,) = store.notices
    assert notice[0] == "METHOD_FELL_BACK"
    assert "singular" in notice[1]


async def test_a_run_whose_trials_all_fail_fails_with_the_most_frequent_message() -> None:
    store = MemorySearchStore(progressive_plan(n_random=5, n_bayesian=5))
    async with coordinator(store):
        await work(store, scored=lambda _: None)
    assert store.state is LifecycleState.FAILED
    (closing,) = store.closings
    assert closing.reason == "ALL_TRIALS_FAILED"
    assert closing.message == "12 of 12 failed trials with exception: it broke"
    assert len(store.trials) == 12


def test_a_failure_is_told_with_the_counters_numbers_and_in_short() -> None:
    common = Failure(kind=FailureKind.EXCEPTION, message="ValueError: " + "x" * 4_000)
    rare = replace(common, message="ValueError: rare")
    trials = [
        replace(make_trial(number, {}, None), failure=rare if number == 0 else common)
        for number in range(4)
    ]
    message = most_frequent_failure(trials, failed=4)
    assert message.startswith("3 of 4 failed trials with exception: ValueError: xxx")
    assert len(message) < 400
    # Of very many the first are read, and they alone are known.
    message = most_frequent_failure(trials, failed=1_500)
    assert message.startswith("at least 3 of 1500 failed trials with exception: ValueError: xxx")
    assert most_frequent_failure([], failed=0) == ""


async def test_answers_that_are_lost_after_the_store_acted_create_nothing_twice() -> None:
    store = MemorySearchStore(progressive_plan(n_random=6, n_bayesian=5))
    async with coordinator(store):
        for number in (0, 12, 20):
            store.lost_answers = 1
            await work(store, until=lambda enough=number: len(store.trials) > enough)  # type: ignore[misc]  # (bound now)
        await work(store)
    assert [sum(t.stage_index == index for t in store.trials) for index in range(3)] == [12, 6, 5]


async def test_a_takeover_makes_the_same_trials_as_an_uninterrupted_search() -> None:
    plan = progressive_plan(n_random=8, n_bayesian=6)
    alone = MemorySearchStore(plan, slots=1)
    async with coordinator(alone, slots=1):
        await work(alone)
    handed_over = MemorySearchStore(plan, slots=1)
    for turn, enough in enumerate((5, 15, 22, 24, 1_000)):
        async with coordinator(handed_over, f"c-{turn}", slots=1):
            await work(handed_over, until=lambda: len(handed_over.trials) > enough)  # noqa: B023 (called within)
    assert by_suggestion(handed_over) == by_suggestion(alone)


async def test_a_lease_that_another_took_ends_the_conductor_without_a_trace() -> None:
    store = MemorySearchStore(grid_plan())
    async with coordinator(store, "c-1"), coordinator(store, "c-2"):
        await work(store)
    assert len(store.trials) == 12
    assert {trial.state for trial in store.trials} == {TrialState.SUCCEEDED}


async def test_a_budget_smaller_than_the_grid_ends_the_run_without_asking_again_and_again() -> None:
    store = await complete(grid_plan(max_trials=7))
    assert len(store.trials) == 7
    assert store.closings[0].reason == "BUDGET_SPENT"
    assert store.calls["create_trials"] <= 2


async def test_runs_side_by_side_share_one_budget_exactly() -> None:
    store = await complete(comparison_plan(max_trials=9))
    assert len(store.trials) == 9
    assert {closing.reason for closing in store.closings} == {"BUDGET_SPENT"}
    assert store.calls["create_trials"] <= 6


async def test_an_extension_while_it_runs_adds_exactly_so_many() -> None:
    store = MemorySearchStore(bayesian_plan(4))
    async with coordinator(store):
        await work(store, until=lambda: len(store.trials) >= 3)
        store.extend(3)
        await work(store)
    assert len(store.trials) == 7
    assert [closing.reason for closing in store.closings] == ["BUDGET_SPENT"]


async def test_a_completed_search_that_is_extended_goes_on_with_what_it_knows() -> None:
    plan = progressive_plan(n_random=6, n_bayesian=4)
    longer = await complete(progressive_plan(n_random=6, n_bayesian=9))
    store = MemorySearchStore(plan)
    async with coordinator(store):
        await work(store)
        assert len(store.trials) == 22
        store.extend(5)
        await work(store)
    assert len(store.trials) == 27
    assert by_suggestion(store)[:22] == by_suggestion(longer)[:22]
    assert [trial.suggestion_index for trial in store.trials[22:]] == [4, 5, 6, 7, 8]


async def test_an_extension_between_the_look_and_the_end_is_run_too() -> None:
    store = MemorySearchStore(random_plan(3))
    extended = False
    read = store.get_orchestration

    async def read_after_an_extension(orchestration_id: str) -> Orchestration:
        nonlocal extended
        if not extended and all(trial.state.is_terminal for trial in store.trials) and store.trials:
            extended = True
            store.extend(2)
        return await read(orchestration_id)

    store.get_orchestration = read_after_an_extension  # type: ignore[method-assign]  # (that is the race)
    async with coordinator(store):
        await work(store)
    assert extended
    assert len(store.trials) == 5


@pytest.mark.parametrize(
    "error", [WrongState("not now"), InvalidRequest([]), RuntimeError("a bug")], ids=repr
)
async def test_refusals_are_met_with_growing_patience_until_they_stop(error: Exception) -> None:
    store = MemorySearchStore(grid_plan())
    store.refusals = [error] * 4
    begun = asyncio.get_running_loop().time()
    async with coordinator(store):
        await work(store)
    # Waits of 0.05, 0.1, 0.2 and 0.4 seconds.
    assert asyncio.get_running_loop().time() - begun >= 0.75
    assert len(store.trials) == 12


async def test_a_deadline_is_left_to_the_store_to_end_the_search_with() -> None:
    store = MemorySearchStore(bayesian_plan(30))
    async with coordinator(store):
        await work(store, until=lambda: len(store.trials) >= 3)
        store.overdue = True
        calls = store.calls["create_trials"]
        # All that is open ends; the conductor asks again, now and then, and closes nothing.
        await work(store, until=lambda: store.calls["create_trials"] >= calls + 3)
        assert store.closings == []
        store.overdue = False
        await work(store)
    assert len(store.trials) == 30
    assert [closing.reason for closing in store.closings] == ["BUDGET_SPENT"]
