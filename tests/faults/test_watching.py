"""Watchers that read slowly, freeze, resume anywhere, and follow logs that two stores write."""

from __future__ import annotations

from itertools import islice

import grpc
import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.fleet import wait_for
from tests.faults.support.history import Log, payload_digest, read_history
from tests.faults.support.proxy import Mode
from tests.faults.support.workloads import endless_grid, progressive, quick_grid, slow_grid
from tests.support.clients import error_reason

pytestmark = pytest.mark.rabbitmq

# A tenth of a second: every sweep finds all that has ended.
RETENTION = {"CRESCENDO_RETENTION_DAYS": "0.000001"}


@pytest.mark.fault_quick
def test_a_log_can_be_resumed_behind_every_event_and_never_past_its_end(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(store_count=2)
    asked = scenario.search(
        progressive(scenario.subjects, random=3, bayesian=2), trials=9, succeeded=9
    )
    scenario.watch(asked, 2, drops=3, snapshots=0.5)
    history = scenario.check(bound_seconds=60)
    log = [(e.sequence, e.digest) for e in history.logs[asked.orchestration_id].events]
    clients = [scenario.fleet.client(store=number) for number in range(2)]
    for cursor in range(len(log) + 1):
        for client in clients:
            seen = [
                (event.sequence, payload_digest(event))
                for event in client.events(asked.orchestration_id, cursor)
            ]
            assert seen == log[cursor:]
    with pytest.raises(grpc.RpcError) as refused:
        list(clients[0].events(asked.orchestration_id, len(log) + 1))
    assert error_reason(refused.value) == "CURSOR_AHEAD"


def test_a_watcher_that_freezes_holds_up_nobody_and_catches_up(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(settings={"CRESCENDO_STREAM_WRITE_SECONDS": "3"})
    (store,) = scenario.fleet.stores
    frozen = scenario.fleet.links.add("frozen watcher → store-0", store.addresses[0])
    asked = scenario.tune(quick_grid(scenario.subjects, 400), trials=400, succeeded=400)
    scenario.watch(asked, 2, address=lambda: frozen.address)
    scenario.watch(asked, 8)
    scenario.await_ended_trials(50)
    frozen.set_mode(Mode.STALL)
    scenario.await_ended_trials(400)
    for watcher in scenario.watchers[2:]:
        assert watcher.record(seconds=20).complete
    frozen.heal()
    scenario.check(bound_seconds=60)


def test_slow_watchers_among_many_change_nothing_for_the_others(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(store_count=2)
    slow_links = [
        scenario.fleet.links.add(f"slow watcher → {store.name}", store.addresses[0])
        for store in scenario.fleet.stores
    ]
    for link in slow_links:
        link.delay(0.5, jitter=0.3)
    quick = scenario.tune(quick_grid(scenario.subjects, 600), trials=600, succeeded=600)
    slow = scenario.tune(slow_grid(scenario.subjects, 10), trials=10, succeeded=10)
    for each in (quick, slow):
        for link in slow_links:
            scenario.watch(each, 2, address=lambda link=link: link.address)  # type: ignore[misc]  # (bound now)
        scenario.watch(each, 20, drops=60, snapshots=0.1)
    scenario.check(bound_seconds=120)


def test_what_ended_is_forgotten_below_its_floor_and_what_is_open_never(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(store_count=2, settings=RETENTION)
    ended = scenario.tune(quick_grid(scenario.subjects, 40), trials=40, succeeded=40)
    for watcher in scenario.watch(ended, 2):
        assert watcher.record(seconds=60).complete
    still_open = scenario.tune(endless_grid(scenario.subjects, 4), trials=None)
    scenario.watch(still_open, 2)
    scenario.client.await_event(still_open.orchestration_id, "trial_started", count=2)

    def log(orchestration_id: str) -> Log:
        return read_history(scenario.fleet.dsn).logs[orchestration_id]

    # A store sweeps when it starts, and then every ten minutes.
    scenario.fleet.stores[0].restart()
    wait_for(lambda: log(ended.orchestration_id).first_sequence > 1, "a sweep", seconds=30)
    floor = log(ended.orchestration_id)
    assert floor.first_sequence == floor.last_sequence + 1
    # The other store still has the events in memory.
    clients = [scenario.fleet.client(store=number) for number in range(2)]
    for client in clients:
        for cursor in range(floor.last_sequence):
            with pytest.raises(grpc.RpcError) as refused:
                list(client.events(ended.orchestration_id, cursor))
            assert error_reason(refused.value) == "CURSOR_EXPIRED"
        assert list(client.events(ended.orchestration_id, floor.last_sequence)) == []
    kept = log(still_open.orchestration_id)
    assert kept.first_sequence == 1
    for client in clients:
        for cursor in range(kept.last_sequence):
            events = client.events(still_open.orchestration_id, cursor)
            numbers = [each.sequence for each in islice(events, kept.last_sequence - cursor)]
            assert numbers == list(range(cursor + 1, kept.last_sequence + 1))
    clients[1].cancel(still_open.orchestration_id)
    scenario.check(bound_seconds=60)
