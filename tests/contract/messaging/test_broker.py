"""One contract for every broker, run in memory and on a real RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.common.messaging import lane
from services.common.messaging.memory import MemoryBroker
from services.common.messaging.port import Broker, Disposition
from services.common.messaging.rabbit import RabbitBroker
from services.common.messaging.topology import Topology
from services.core.errors import Unavailable

DEADLINE = 60.0


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits for a condition that only the broker can tell."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not await condition():  # noqa: ASYNC110 (only asking the broker tells)
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {DEADLINE:g} s: {what}")


class Inbox:
    """A handler that records bodies, and holds each until it is released when told to."""

    def __init__(self, *, hold: bool = False) -> None:
        self.bodies: list[bytes] = []
        self.disposition = Disposition.ACK
        self.failures_left = 0
        self.release = asyncio.Event()
        self._arrived = asyncio.Condition()
        if not hold:
            self.release.set()

    async def __call__(self, body: bytes) -> Disposition:
        async with self._arrived:
            self.bodies.append(body)
            self._arrived.notify_all()
        if self.failures_left > 0:
            self.failures_left -= 1
            raise RuntimeError("this handler was told to fail")
        await self.release.wait()
        return self.disposition

    async def count(self, expected: int) -> None:
        try:
            async with asyncio.timeout(DEADLINE), self._arrived:
                await self._arrived.wait_for(lambda: len(self.bodies) >= expected)
        except TimeoutError:
            pytest.fail(f"{len(self.bodies)} of {expected} messages within {DEADLINE:g} s")


class BrokerContract:
    @pytest.fixture
    def broker(self) -> Broker:
        raise NotImplementedError

    async def test_published_messages_are_confirmed_and_consumed(self, broker: Broker) -> None:
        inbox = Inbox()
        bodies = [b"message %d" % number for number in range(200)]
        assert await broker.publish("default", bodies) == [True] * 200
        async with broker.consume("default", prefetch=50, handler=inbox):
            await inbox.count(200)
        assert sorted(inbox.bodies) == sorted(bodies)

    async def test_acknowledged_messages_are_gone(self, broker: Broker) -> None:
        inbox = Inbox()
        await broker.publish("default", [b"one", b"two"])

        async with broker.consume("default", prefetch=5, handler=inbox):
            await inbox.count(2)
            await eventually(lambda: empty(broker), "the queue is empty")
        late = Inbox()
        async with broker.consume("default", prefetch=5, handler=late):
            await broker.publish("default", [b"last"])
            await late.count(1)
        assert late.bodies == [b"last"]

    async def test_worker_classes_do_not_mix(self, broker: Broker) -> None:
        default, gpu = Inbox(), Inbox()
        await broker.publish("default", [b"small"])
        await broker.publish("gpu", [b"large"])
        async with (
            broker.consume("default", prefetch=5, handler=default),
            broker.consume("gpu", prefetch=5, handler=gpu),
        ):
            await default.count(1)
            await gpu.count(1)
        assert (default.bodies, gpu.bodies) == ([b"small"], [b"large"])

    async def test_dead_letters_are_kept_apart(self, broker: Broker) -> None:
        inbox = Inbox()
        inbox.disposition = Disposition.DEAD_LETTER
        await broker.publish("default", [b"garbage"])
        async with broker.consume("default", prefetch=5, handler=inbox):
            await inbox.count(1)

            async def dead() -> bool:
                return await broker.dead_letters() == 1

            await eventually(dead, "one dead letter")
        assert await broker.depth("default") == 0

    async def test_messages_without_an_answer_come_again_when_their_consumer_ends(
        self, broker: Broker
    ) -> None:
        first, second = Inbox(hold=True), Inbox()
        await broker.publish("default", [b"one", b"two"])
        async with broker.consume("default", prefetch=5, handler=first):
            await first.count(2)
            assert await broker.depth("default") == 0
        async with broker.consume("default", prefetch=5, handler=second):
            await second.count(2)
        assert sorted(second.bodies) == [b"one", b"two"]

    async def test_a_handler_that_fails_gets_its_message_again(self, broker: Broker) -> None:
        inbox = Inbox()
        inbox.failures_left = 1
        await broker.publish("default", [b"one"])
        async with broker.consume("default", prefetch=5, handler=inbox):
            await inbox.count(2)
        assert inbox.bodies == [b"one", b"one"]

    async def test_a_message_that_always_fails_becomes_a_dead_letter(self, broker: Broker) -> None:
        inbox = Inbox()
        inbox.failures_left = 1_000
        await broker.publish("default", [b"poison"])
        async with broker.consume("default", prefetch=5, handler=inbox):

            async def dead() -> bool:
                return await broker.dead_letters() == 1

            await eventually(dead, "one dead letter")
        assert len(inbox.bodies) == 4  # the first delivery, and three returns

    async def test_prefetch_bounds_what_a_consumer_holds(self, broker: Broker) -> None:
        inbox = Inbox(hold=True)
        await broker.publish("default", [b"%d" % number for number in range(10)])
        async with broker.consume("default", prefetch=3, handler=inbox):
            await inbox.count(3)
            await eventually(lambda: depth_is(broker, 7), "seven messages wait")
            assert len(inbox.bodies) == 3
            inbox.release.set()
            await inbox.count(10)

    async def test_consumers_share_a_queue(self, broker: Broker) -> None:
        first, second = Inbox(hold=True), Inbox(hold=True)
        async with (
            broker.consume("default", prefetch=1, handler=first),
            broker.consume("default", prefetch=1, handler=second),
        ):
            await broker.publish("default", [b"one", b"two"])
            await first.count(1)
            await second.count(1)
        assert sorted(first.bodies + second.bodies) == [b"one", b"two"]

    async def test_depth_counts_what_waits(self, broker: Broker) -> None:
        await broker.declare("default")
        await broker.declare("default")
        assert await broker.depth("default") == 0
        await broker.publish("default", [b"one", b"two", b"three"])
        await eventually(lambda: depth_is(broker, 3), "three messages wait")

    async def test_a_listener_hears_of_the_connection_that_stands(self, broker: Broker) -> None:
        await broker.declare("default")
        heard = asyncio.Event()
        broker.add_connected_listener(heard.set)
        async with asyncio.timeout(DEADLINE):
            await heard.wait()

    async def test_a_closed_broker_is_unavailable(self, broker: Broker) -> None:
        await broker.close()
        await broker.close()
        with pytest.raises(Unavailable):
            await broker.publish("default", [b"late"])


async def empty(broker: Broker) -> bool:
    return await broker.depth("default") == 0


async def depth_is(broker: Broker, expected: int) -> bool:
    return await broker.depth("default") == expected


class TestMemoryBroker(BrokerContract):
    @pytest.fixture
    async def broker(self) -> AsyncIterator[Broker]:
        async with MemoryBroker(Topology(delivery_limit=3)) as broker:
            yield broker


@pytest.mark.rabbitmq
class TestRabbitBroker(BrokerContract):
    @pytest.fixture
    def worker_classes(self) -> list[str]:
        return ["default", "gpu"]

    @pytest.fixture
    async def broker(
        self, amqp_url: str, queue_prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Broker]:
        # No queue is stuck here, however busy the machine.
        monkeypatch.setattr(lane, "_FIRST_CONFIRM_SECONDS", DEADLINE)
        topology = Topology(prefix=queue_prefix, delivery_limit=3)
        async with RabbitBroker(amqp_url, topology) as broker:
            connected = asyncio.Event()
            broker.add_connected_listener(connected.set)
            async with asyncio.timeout(DEADLINE):
                await connected.wait()
            yield broker
