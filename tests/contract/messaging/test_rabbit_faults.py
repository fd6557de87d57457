"""What RabbitBroker does when connections break, queues vanish, or nobody listens yet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import pytest

from services.common.messaging import lane
from services.common.messaging.rabbit import RabbitBroker
from services.common.messaging.topology import Topology
from services.core.errors import Unavailable
from testbed.addresses import lasting_ports
from tests.contract.messaging.test_broker import DEADLINE, Inbox

pytestmark = pytest.mark.rabbitmq


class Proxy:
    """A TCP proxy that can be cut; refuses connections until it is opened."""

    def __init__(self, target: tuple[str, int]) -> None:
        (self.port,) = lasting_ports(1)
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))
        finally:
            for each in (writer, far_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


class Connections:
    """Counts the connections a broker announces."""

    def __init__(self, broker: RabbitBroker) -> None:
        self.count = 0
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        broker.add_connected_listener(self._heard)

    def _heard(self) -> None:
        self.count += 1
        task = asyncio.ensure_future(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def reach(self, expected: int) -> None:
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: self.count >= expected)


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[Proxy]:
    address = urlsplit(amqp_url)
    proxy = Proxy((address.hostname or "127.0.0.1", address.port or 5672))
    yield proxy
    await proxy.cut()


@pytest.fixture
async def broker(
    amqp_url: str, queue_prefix: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RabbitBroker]:
    # No queue is stuck here, however busy the machine.
    monkeypatch.setattr(lane, "_FIRST_CONFIRM_SECONDS", DEADLINE)
    address = urlsplit(amqp_url)
    login = f"{address.username or 'guest'}:{address.password or 'guest'}"
    url = urlunsplit(address._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))
    topology = Topology(prefix=queue_prefix)
    async with RabbitBroker(url, topology, idle_check_seconds=0.2) as broker:
        yield broker


async def test_a_broker_that_is_down_at_the_start_is_waited_for(
    broker: RabbitBroker, proxy: Proxy
) -> None:
    connections = Connections(broker)
    with pytest.raises(Unavailable):
        await broker.publish("default", [b"early"])
    inbox = Inbox()
    async with broker.consume("default", prefetch=1, handler=inbox):
        await proxy.open()
        await connections.reach(1)
        assert await broker.publish("default", [b"late"]) == [True]
        await inbox.count(1)


async def test_consumers_and_publishers_come_back_after_a_cut(
    broker: RabbitBroker, proxy: Proxy
) -> None:
    await proxy.open()
    connections = Connections(broker)
    await connections.reach(1)
    inbox = Inbox()
    async with broker.consume("default", prefetch=5, handler=inbox):
        await broker.publish("default", [b"before"])
        await inbox.count(1)
        await proxy.cut()
        await proxy.open()
        await connections.reach(2)
        await broker.publish("default", [b"after"])
        await inbox.count(2)
    assert b"after" in inbox.bodies


async def test_a_message_held_over_a_cut_is_delivered_again(
    broker: RabbitBroker, proxy: Proxy
) -> None:
    await proxy.open()
    connections = Connections(broker)
    await connections.reach(1)
    inbox = Inbox(hold=True)
    async with broker.consume("default", prefetch=5, handler=inbox):
        await broker.publish("default", [b"held"])
        await inbox.count(1)
        await proxy.cut()
        await proxy.open()
        await inbox.count(2)
        inbox.release.set()
    assert inbox.bodies == [b"held", b"held"]


async def test_a_deleted_queue_is_declared_again_by_its_consumer(
    broker: RabbitBroker, proxy: Proxy, amqp_url: str, queue_prefix: str
) -> None:
    await proxy.open()
    await Connections(broker).reach(1)
    inbox = Inbox()
    async with broker.consume("default", prefetch=5, handler=inbox):
        await broker.publish("default", [b"first"])
        await inbox.count(1)
        async with await aio_pika.connect(amqp_url) as connection:
            channel = await connection.channel()
            await channel.queue_delete(Topology(prefix=queue_prefix).trial_queue("default"))
        async with asyncio.timeout(DEADLINE):
            while await broker.publish("default", [b"second"]) != [True]:  # noqa: ASYNC110 (only asking tells)
                await asyncio.sleep(0.05)
        await inbox.count(2)
    assert b"second" in inbox.bodies


async def test_a_message_nobody_queues_is_not_confirmed(
    broker: RabbitBroker, proxy: Proxy, amqp_url: str, queue_prefix: str
) -> None:
    await proxy.open()
    await Connections(broker).reach(1)
    await broker.declare("default")
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(Topology(prefix=queue_prefix).trial_queue("default"))
    assert await broker.publish("default", [b"lost"]) == [False]
    assert await broker.publish("default", [b"kept"]) == [True]
