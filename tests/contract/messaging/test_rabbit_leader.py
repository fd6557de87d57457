"""A queue that lost its leader is deleted and declared anew; nothing else is deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.messaging.rabbit import RabbitBroker
from services.common.messaging.topology import Topology
from services.core.errors import Unavailable
from testbed.brokers import rabbitmq_program
from testbed.rabbit_node import RabbitNode, rabbit_node
from tests.contract.messaging.test_broker import Inbox
from tests.contract.messaging.test_rabbit_faults import Connections

pytestmark = pytest.mark.rabbitmq

# The server takes a while to come back, and to delete what has no leader.
_SECONDS = 120.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    program = rabbitmq_program()
    if program is None:
        pytest.skip("no RabbitMQ program to start and kill")
    folder: Path = tmp_path_factory.mktemp("leader")
    with rabbit_node(program, folder) as node:
        yield node


async def _published(broker: RabbitBroker, worker_class: str, body: bytes) -> None:
    """Publishes until it is confirmed."""
    async with asyncio.timeout(_SECONDS):
        while True:
            try:
                if await broker.publish(worker_class, [body]) == [True]:
                    return
            except Unavailable:
                pass
            await asyncio.sleep(0.1)


async def test_a_queue_declared_just_before_a_kill_works_again(node: RabbitNode) -> None:
    classes = ["one", "two", "three"]
    topology = Topology(prefix="leader")
    async with RabbitBroker(node.url, topology, idle_check_seconds=0.5) as broker:
        connections = Connections(broker)
        await connections.reach(1)
        # The last ones declared are those that lose their leader.
        for each in classes:
            await _published(broker, each, b"before")
        await asyncio.to_thread(node.kill)
        await asyncio.to_thread(node.start)
        begun = asyncio.get_running_loop().time()
        took: dict[str, float] = {}

        async def publish(worker_class: str) -> None:
            await _published(broker, worker_class, b"after")
            took[worker_class] = asyncio.get_running_loop().time() - begun

        await asyncio.gather(*(publish(each) for each in classes))
        for each in classes:
            inbox = Inbox()
            async with broker.consume(each, prefetch=5, handler=inbox), asyncio.timeout(_SECONDS):
                await inbox.count(1)
        # One whose queue was whole did not wait for those that were not, which may take two minutes; it
        # has this much of them because the server has just started, perhaps on a busy machine.
        assert min(took.values()) < _SECONDS / 3


async def test_a_server_that_confirms_nothing_keeps_its_queues(node: RabbitNode) -> None:
    topology = Topology(prefix="alarm")
    async with RabbitBroker(node.url, topology) as broker:
        await Connections(broker).reach(1)
        await _published(broker, "default", b"kept")
        broker._lane("default").forget()
        await asyncio.to_thread(node.control, "set_vm_memory_high_watermark", "absolute", "1")
        try:
            with_alarm = asyncio.gather(
                broker.publish("default", [b"stuck"]), return_exceptions=True
            )
            (answer,) = await with_alarm
            assert answer == [False] or isinstance(answer, Unavailable)
        finally:
            await asyncio.to_thread(node.control, "set_vm_memory_high_watermark", "0.4")
        inbox = Inbox()
        async with broker.consume("default", prefetch=5, handler=inbox), asyncio.timeout(_SECONDS):
            await inbox.count(1)
        assert inbox.bodies[0] == b"kept"
