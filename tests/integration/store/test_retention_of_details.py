"""What goes with a log: steps of trials and costs of attempts; what was decided and the sums stay."""

from __future__ import annotations

from services.core.budget import Budget
from services.core.plan import LifecycleState
from services.core.pruning_settings import ASHA, Pruning
from services.core.trial import TrialState
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.retention import PostgresRetention
from services.store.ports.retention import Forgotten
from services.store.service.plans import Change
from services.store.service.retention import Retention
from tests.integration.store.clock import Clock
from tests.integration.store.extending import extend
from tests.integration.store.scenario import Scenario, success
from tests.integration.store.test_pruning import read
from tests.integration.store.test_steps import FOLDS, Search, searching

_DAY_SECONDS = 86_400.0
_PRICED = Budget(max_cost=1_000, price_per_hour=3600, trial_timeout_seconds=10)
_ASHA = Pruning(rule=ASHA, reduction_factor=2, grace_period=2, max_steps=FOLDS)


def _retention(database: Database) -> Retention:
    return Retention(PostgresRetention(database), days=30, pause_seconds=0)


async def _count(database: Database, table: str, identifier: str) -> int:
    async with database.reading() as connection:
        count: int = await connection.fetchval(
            f"SELECT count(*) FROM crescendo.{table} WHERE orchestration_id = $1", identifier
        )
    return count


async def _pruned(scenario: Scenario) -> Search:
    """A search with three trials that reported two steps each; the third was stopped by them."""
    search = await searching(scenario, _ASHA, count=3)
    for number, value in enumerate((0.5, 0.8, 0.4)):
        await search.stops(number, value, value)
    await scenario.finish(search.ended(2, TrialState.PRUNED, 0.4, 0.4))
    return search


async def _priced(scenario: Scenario, *, planned: int = 2) -> str:
    """A search of two trials that run. Returns: its id."""
    orchestration, _, _ = await scenario.started(
        2, planned=planned, methods=("random_search",), combinations=None, budget=_PRICED
    )
    return orchestration.orchestration_id


async def test_steps_go_with_the_log_and_the_decision_stays(
    clock: Clock, scenario: Scenario, database: Database
) -> None:
    ended, running = await _pruned(scenario), await _pruned(scenario)
    decision = (await read(scenario, ended.identifier, 2)).prune_decision
    assert decision is not None
    await scenario.cases.plans.change(ended.identifier, Change.CANCEL)
    await clock.advance(29 * _DAY_SECONDS)
    await _retention(database).sweep()
    assert await _count(database, "trial_steps", ended.identifier) == 6
    await clock.advance(2 * _DAY_SECONDS)
    await _retention(database).sweep()
    assert await _count(database, "trial_steps", ended.identifier) == 0
    assert await _count(database, "events", ended.identifier) == 0
    trial = await read(scenario, ended.identifier, 2)
    assert (trial.state, trial.prune_decision) == (TrialState.PRUNED, decision)
    assert await _count(database, "trial_steps", running.identifier) == 6


async def test_costs_go_with_the_log_and_their_sum_stays(
    clock: Clock, scenario: Scenario, database: Database
) -> None:
    identifier = await _priced(scenario, planned=3)
    other = await _priced(scenario)
    await clock.advance(5)
    await scenario.finish(*(success(identifier, number, seconds=4.0) for number in range(2)))
    await scenario.cases.plans.change(identifier, Change.CANCEL)
    used = (await scenario.cases.runs.orchestration(identifier)).used
    assert used.cost == 8
    await clock.advance(29 * _DAY_SECONDS)
    await _retention(database).sweep()
    assert await _count(database, "attempt_costs", identifier) == 2
    await clock.advance(2 * _DAY_SECONDS)
    await _retention(database).sweep()
    assert await _count(database, "attempt_costs", identifier) == 0
    assert (await scenario.cases.runs.orchestration(identifier)).used == used
    assert await _count(database, "attempt_costs", other) == 2
    # A result that is told once more costs nothing more.
    await scenario.finish(success(identifier, 1, seconds=4.0))
    assert (await scenario.cases.runs.orchestration(identifier)).used == used


async def test_nothing_goes_while_money_is_held_for_an_attempt(
    clock: Clock, scenario: Scenario, database: Database
) -> None:
    identifier = await _priced(scenario)
    await scenario.finish(success(identifier, 0, seconds=4.0))
    # The worker of the other one never says what it took, and no keeper has looked since.
    await scenario.cases.plans.change(identifier, Change.CANCEL)
    last = (await scenario.cases.runs.orchestration(identifier)).last_sequence
    await clock.advance(31 * _DAY_SECONDS)
    await _retention(database).sweep()
    store = PostgresRetention(database)
    step = await store.forget_costs(identifier, ended_before_seconds=_DAY_SECONDS, limit=10)
    assert step == Forgotten(count=0, more=False)
    assert await _count(database, "attempt_costs", identifier) == 2
    assert await _count(database, "events", identifier) == last
    await scenario.cases.keeper.tick()
    assert await _retention(database).sweep() == last
    assert await _count(database, "attempt_costs", identifier) == 0


async def test_what_was_reopened_keeps_its_costs_and_charges_on(
    clock: Clock, scenario: Scenario, database: Database
) -> None:
    identifier = await _priced(scenario)
    await clock.advance(5)
    await scenario.finish(*(success(identifier, number, seconds=4.0) for number in range(2)))
    orchestration = await scenario.cases.runs.orchestration(identifier)
    (run,) = orchestration.stages[0].tuning_runs
    ended = await scenario.close(orchestration, run)
    assert ended.state is LifecycleState.COMPLETED
    await clock.advance(31 * _DAY_SECONDS)
    await extend(scenario, identifier, trials=1)
    await _retention(database).sweep()
    assert await _count(database, "attempt_costs", identifier) == 2
    session = await scenario.session()
    await scenario.queue(run.tuning_run_id, 1, first=2)
    await scenario.claim(session, run, [2])
    await clock.advance(5)
    await scenario.finish(success(identifier, 2, seconds=4.0))
    await scenario.check(identifier)


async def test_an_extension_after_the_costs_went_charges_only_what_is_new(
    clock: Clock, scenario: Scenario, database: Database
) -> None:
    identifier = await _priced(scenario)
    await clock.advance(5)
    await scenario.finish(*(success(identifier, number, seconds=4.0) for number in range(2)))
    orchestration = await scenario.cases.runs.orchestration(identifier)
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.close(orchestration, run)
    await clock.advance(31 * _DAY_SECONDS)
    await _retention(database).sweep()
    await extend(scenario, identifier, trials=1)
    session = await scenario.session()
    await scenario.queue(run.tuning_run_id, 1, first=2)
    await scenario.claim(session, run, [2])
    await clock.advance(5)
    await scenario.finish(success(identifier, 2, seconds=3.0))
    used = (await scenario.cases.runs.orchestration(identifier)).used
    assert (used.cost, used.reserved_cost) == (11, 0)
    assert await _count(database, "attempt_costs", identifier) == 1


async def test_more_steps_and_costs_than_one_transaction_takes_go_in_several(
    clock: Clock, scenario: Scenario, database: Database
) -> None:
    search = await _pruned(scenario)
    await scenario.cases.plans.change(search.identifier, Change.CANCEL)
    async with database.writing() as connection:
        await connection.execute(
            "INSERT INTO crescendo.trial_steps SELECT orchestration_id, tuning_run_id, 0, 0, n, 0, 0, 0"
            " FROM crescendo.tuning_runs, generate_series(100, 2599) AS n WHERE orchestration_id = $1",
            search.identifier,
        )
        await connection.execute(
            "INSERT INTO crescendo.attempt_costs (orchestration_id, number, attempt, started_at,"
            " reserved) SELECT $1, n, 0, now(), 0 FROM generate_series(1, 2500) AS n",
            search.identifier,
        )
    await clock.advance(31 * _DAY_SECONDS)
    store = PostgresRetention(database)
    for step in (store.forget_steps, store.forget_costs):
        told = await step(search.identifier, ended_before_seconds=_DAY_SECONDS, limit=1_000)
        assert told == Forgotten(count=1_000, more=True)
    await _retention(database).sweep()
    for table in ("trial_steps", "attempt_costs", "events"):
        assert await _count(database, table, search.identifier) == 0
