"""A watch delivers every event once, whatever happens to its streams."""

from __future__ import annotations

import random
from collections.abc import Iterator

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crescendo.client.errors import CrescendoError, Unavailable, WatchGap
from crescendo.client.events import Event, Snapshot, WatchItem
from crescendo.client.library import Crescendo
from crescendo.client.watching import Backoff, Interruption
from testbed.addresses import free_port, lasting_ports
from tests.unit.crescendo import messages

LOG = [
    *(messages.finished(number, number) for number in range(1, 9)),
    messages.ended(9),
]


class Delays:
    """A back-off that does not wait, and says what it would have waited."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.interruptions: list[Interruption] = []

    def backoff(self, patience_seconds: float = 600.0) -> Backoff:
        return Backoff(
            random=random.Random(1), sleep=self.slept.append, patience_seconds=patience_seconds
        )


def _watch(
    store: messages.ScriptedStore, after_sequence: int | None = None, delays: Delays | None = None
) -> list[WatchItem]:
    delays = delays or Delays()
    with messages.serving(store) as address, Crescendo(address, address) as client:
        return list(
            client.watch(
                messages.ID,
                after_sequence,
                backoff=delays.backoff(),
                on_interruption=delays.interruptions.append,
            )
        )


def _sequences(items: list[WatchItem]) -> list[int]:
    return [item.sequence for item in items if isinstance(item, Event)]


def test_a_snapshot_comes_first_and_then_every_event() -> None:
    store = messages.ScriptedStore(messages.progressive_search(last_sequence=2), LOG)
    items = _watch(store)
    assert isinstance(items[0], Snapshot)
    assert items[0].sequence == 2
    assert _sequences(items) == [3, 4, 5, 6, 7, 8, 9]


def test_with_a_cursor_there_is_no_snapshot() -> None:
    store = messages.ScriptedStore(messages.progressive_search(), LOG)
    items = _watch(store, after_sequence=0)
    assert _sequences(items) == list(range(1, 10))
    assert len(items) == 9


# Each example starts a server.
@settings(max_examples=30)
@given(
    drops=st.lists(st.integers(0, 4), max_size=8),
    code=st.sampled_from([grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]),
)
def test_dropped_streams_are_taken_up_where_they_broke(
    drops: list[int], code: grpc.StatusCode
) -> None:
    # The first stream connects: one that never does is an error at once.
    store = messages.ScriptedStore(messages.progressive_search(), LOG, [3, *drops])
    store.drop_code = code
    delays = Delays()
    items = _watch(store, after_sequence=0, delays=delays)
    assert _sequences(items) == list(range(1, 10))
    assert len(delays.slept) == len(store.cursors) - 1
    assert store.cursors == [0, *(each.after_sequence for each in delays.interruptions)]


def test_delays_grow_with_jitter_and_start_again_after_a_message() -> None:
    store = messages.ScriptedStore(messages.progressive_search(), LOG, [1, 0, 0, 0, 1, 0])
    delays = Delays()
    _watch(store, after_sequence=0, delays=delays)
    assert [each.attempt for each in delays.interruptions] == [1, 2, 3, 4, 1, 2]
    for slept, ceiling in zip(delays.slept, [0.2, 0.4, 0.8, 1.6, 0.2, 0.4], strict=True):
        assert 0 <= slept <= ceiling


def test_a_left_out_event_is_an_error() -> None:
    store = messages.ScriptedStore(messages.progressive_search(), [*LOG[:4], *LOG[5:]])
    with pytest.raises(WatchGap, match="should be number 5, the server sent 6"):
        _watch(store, after_sequence=0)


def test_a_first_connection_that_fails_is_an_error_at_once() -> None:
    address = f"127.0.0.1:{free_port()}"
    with Crescendo(address, address) as client, pytest.raises(Unavailable) as caught:
        next(iter(client.watch(messages.ID)))
    assert address in caught.value.message


def test_a_server_that_comes_back_is_found_again() -> None:
    (port,) = lasting_ports(1)
    store = messages.ScriptedStore(messages.progressive_search(), LOG, [4])
    server = messages.serving(store, port)
    address = server.__enter__()
    again: list[Iterator[str]] = []

    def restart(_seconds: float) -> None:
        nonlocal server
        if not again:
            server.__exit__(None, None, None)
            server = messages.serving(store, port)
            server.__enter__()
            again.append(iter(()))

    try:
        with Crescendo(address, address) as client:
            backoff = Backoff(sleep=restart)
            items = list(client.watch(messages.ID, 0, backoff=backoff))
    finally:
        server.__exit__(None, None, None)
    assert _sequences(items) == list(range(1, 10))


def test_patience_ends() -> None:
    store = messages.ScriptedStore(messages.progressive_search(), LOG, [2, 0, 0, 0])
    with messages.serving(store) as address, Crescendo(address, address) as client:
        watch = client.watch(messages.ID, 0, backoff=Delays().backoff(patience_seconds=0.0))
        with pytest.raises(Unavailable):
            list(watch)
    assert len(store.cursors) == 1


def test_a_fault_of_the_server_is_tried_a_few_times_only() -> None:
    store = messages.ScriptedStore(messages.progressive_search(), LOG, [2, *[0] * 20])
    store.drop_code = grpc.StatusCode.INTERNAL
    with pytest.raises(CrescendoError, match="the connection broke"):
        _watch(store, after_sequence=0)
    assert len(store.cursors) == 6


def test_a_refusal_is_not_tried_again() -> None:
    store = messages.ScriptedStore(messages.progressive_search(), LOG, [2, 0])
    store.drop_code = grpc.StatusCode.OUT_OF_RANGE
    with pytest.raises(CrescendoError):
        _watch(store, after_sequence=0)
    assert store.cursors == [0]
