"""A broker that stops, forgets, blocks, freezes, repeats itself and carries rubbish."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

import aio_pika
import asyncpg
import pytest

from testbed.addresses import run_apart
from tests.faults.conftest import StartScenario
from tests.faults.support.fleet import LONG_LEASES, wait_for
from tests.faults.support.scenario import Scenario
from tests.faults.support.workloads import quick_grid, slow_grid
from tuning.v1 import task_messages_pb2

pytestmark = pytest.mark.rabbitmq

OUTAGE_SECONDS = 300.0
QUICK_OUTAGE_SECONDS = 20.0
FREEZE_SECONDS = 40.0


def test_searches_are_accepted_and_trials_run_on_while_the_broker_is_stopped(
    start_scenario: StartScenario, full: bool
) -> None:
    outage = OUTAGE_SECONDS if full else QUICK_OUTAGE_SECONDS
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 8), trials=8, succeeded=8)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(2)
    scenario.fleet.rabbitmq.stop()
    began = time.monotonic()
    later = scenario.tune(quick_grid(scenario.subjects, 30), trials=30, succeeded=30)
    assert later.answers
    wait_for(lambda: time.monotonic() - began > outage, "the outage", seconds=outage + 5)
    scenario.fleet.rabbitmq.start()
    scenario.check(bound_seconds=60)


def test_connections_closed_every_three_seconds(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_count=3)
    asked = scenario.tune(quick_grid(scenario.subjects, 600), trials=600, succeeded=600)
    slow = scenario.tune(slow_grid(scenario.subjects, 30, trees=60), trials=30, succeeded=30)
    scenario.watch(asked, 2)
    scenario.watch(slow, 1)
    for each in (*scenario.fleet.coordinators, *scenario.fleet.workers):
        each.links["rabbitmq"].cut_every(3)
    scenario.await_ended_trials(400, seconds=180)
    scenario.check(bound_seconds=120)


def test_a_memory_alarm_blocks_publishers_and_nothing_else(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 10), trials=10, succeeded=10)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(1)
    rabbitmq = scenario.fleet.rabbitmq
    rabbitmq.control("set_vm_memory_high_watermark", "0.00001")
    try:
        later = scenario.tune(quick_grid(scenario.subjects, 30), trials=30, succeeded=30)
        assert later.answers
        began = time.monotonic()
        # Longer than a publish waits for its confirm: it is given up, and may arrive all the same.
        wait_for(lambda: time.monotonic() - began > 15, "the alarm", seconds=20)
    finally:
        rabbitmq.control("set_vm_memory_high_watermark", "0.4")
    scenario.check(bound_seconds=60)


@pytest.mark.parametrize("loss", ["deleted", "purged"])
def test_what_a_queue_lost_comes_again(start_scenario: StartScenario, loss: str) -> None:
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 16), trials=16, succeeded=16)
    scenario.watch(asked, 1)
    for count in (1, 4):
        scenario.await_ended_trials(count)
        run_apart(_lose(scenario, loss))
    scenario.check(bound_seconds=90)


def test_a_broker_whose_data_is_gone_is_made_anew(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 16), trials=16, succeeded=16)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(2)
    scenario.fleet.rabbitmq.kill()
    scenario.fleet.rabbitmq.wipe()
    scenario.fleet.rabbitmq.start()
    scenario.check(bound_seconds=90)


def test_a_broker_frozen_for_longer_than_heartbeats(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 16), trials=16, succeeded=16)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(2)
    scenario.fleet.rabbitmq.freeze()
    later = scenario.tune(quick_grid(scenario.subjects, 30), trials=30, succeeded=30)
    assert later.answers
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > FREEZE_SECONDS, "the freeze", seconds=60)
    scenario.fleet.rabbitmq.thaw()
    scenario.check(bound_seconds=90)


@pytest.mark.fault_quick
def test_messages_ten_times_over_and_in_any_order_claim_nothing_twice(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(settings=LONG_LEASES)
    asked = scenario.tune(quick_grid(scenario.subjects, 100), trials=100, succeeded=100)
    slow = scenario.tune(slow_grid(scenario.subjects, 6, trees=60), trials=6, succeeded=6)
    scenario.watch(asked, 2)
    for count in (1, 40):
        scenario.await_ended_trials(count)
        run_apart(_repeat_messages(scenario, times=10))
    history = scenario.check(bound_seconds=90)
    assert all(not each.attempt for each in history.logs[slow.orchestration_id].trials)


@pytest.mark.fault_quick
def test_rubbish_is_put_aside_and_stops_nobody(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 8), trials=8, succeeded=8)
    scenario.watch(asked, 1)
    rubbish = _rubbish(asked.orchestration_id, scenario.rng)
    run_apart(_publish(scenario, rubbish))
    scenario.check(bound_seconds=60)
    dead = wait_for_dead_letters(scenario, at_least=4)
    assert dead <= len(rubbish)


def wait_for_dead_letters(scenario: Scenario, *, at_least: int) -> int:
    """Waits until so many messages were put aside. Returns: how many there are."""
    name = f"{scenario.fleet.queue_prefix}.dead.v1"
    wait_for(
        lambda: run_apart(_depth(scenario, name)) >= at_least,
        f"{at_least} dead letters",
        seconds=30,
    )
    return run_apart(_depth(scenario, name))


def _rubbish(orchestration_id: str, rng: random.Random) -> list[bytes]:
    batch = task_messages_pb2.TrialBatch(
        version=1,
        orchestration_id=orchestration_id,
        trials=[task_messages_pb2.TrialReference(number=0, attempt=0)],
    )
    unknown_version = task_messages_pb2.TrialBatch()
    unknown_version.CopyFrom(batch)
    unknown_version.version = 77
    huge = task_messages_pb2.TrialBatch(version=1, orchestration_id="x" * (4 << 20))
    return [
        b"",
        rng.randbytes(200),
        batch.SerializeToString()[:-1],
        unknown_version.SerializeToString(),
        huge.SerializeToString(),
        # Well-formed, about nothing there is: these are stale, not rubbish.
        task_messages_pb2.TrialBatch(
            version=1, orchestration_id="no id", trials=[batch.trials[0]]
        ).SerializeToString(),
    ]


def _queue(scenario: Scenario) -> str:
    return f"{scenario.fleet.queue_prefix}.trials.v1.default"


async def _lose(scenario: Scenario, loss: str) -> None:
    async with await aio_pika.connect(scenario.fleet.rabbitmq.url, timeout=10) as connection:
        channel = await connection.channel()
        if loss == "deleted":
            await channel.queue_delete(_queue(scenario))
        else:
            queue = await channel.declare_queue(_queue(scenario), passive=True)
            await queue.purge()


async def _depth(scenario: Scenario, name: str) -> int:
    async with await aio_pika.connect(scenario.fleet.rabbitmq.url, timeout=10) as connection:
        channel = await connection.channel()
        with contextlib.suppress(aio_pika.exceptions.ChannelNotFoundEntity):
            declared = await channel.declare_queue(name, passive=True)
            return declared.declaration_result.message_count or 0
    return 0


async def _publish(scenario: Scenario, bodies: list[bytes]) -> None:
    async with await aio_pika.connect(scenario.fleet.rabbitmq.url, timeout=10) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await asyncio.gather(
            *(
                channel.default_exchange.publish(
                    aio_pika.Message(body), routing_key=_queue(scenario)
                )
                for body in bodies
            )
        )


async def _repeat_messages(scenario: Scenario, *, times: int) -> None:
    """Publishes messages for every trial that is open, each many times, shuffled."""
    connection = await asyncpg.connect(scenario.fleet.dsn, timeout=10)
    try:
        rows = await connection.fetch(
            "SELECT orchestration_id::text AS o, tuning_run_id::text AS t, number, attempt"
            " FROM crescendo.trials WHERE state IN ('queued', 'running')"
        )
    finally:
        await connection.close()
    bodies = [
        task_messages_pb2.TrialBatch(
            version=1,
            orchestration_id=row["o"],
            tuning_run_id=row["t"],
            trials=[task_messages_pb2.TrialReference(number=row["number"], attempt=row["attempt"])],
        ).SerializeToString()
        for row in rows
    ] * times
    scenario.rng.shuffle(bodies)
    await _publish(scenario, bodies)
