"""A watch through every way a store ends one: resumed where that is right, told where it is not."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from crescendo.client.errors import (
    Conflict,
    CrescendoError,
    CursorAhead,
    CursorExpired,
    CursorOutOfRange,
    EpochChanged,
    Exhausted,
)
from crescendo.client.events import Event, Snapshot, WatchItem
from crescendo.client.library import Crescendo
from crescendo.client.watching import Backoff, Interruption
from tests.unit.crescendo import messages
from tuning.v1 import run_service_pb2 as pb

_UNAVAILABLE = messages.refusal(grpc.StatusCode.UNAVAILABLE, "stopping", "DRAINING")
_SLOW = messages.refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "read faster", "SLOW_CONSUMER")
_EPOCH = messages.refusal(grpc.StatusCode.ABORTED, "was restored", "EPOCH_CHANGED")
_EXPIRED = messages.refusal(grpc.StatusCode.OUT_OF_RANGE, "removed", "CURSOR_EXPIRED")
_AHEAD = messages.refusal(grpc.StatusCode.OUT_OF_RANGE, "ends before", "CURSOR_AHEAD")


def _full(seconds: int) -> Status:
    status = messages.refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "TOO_MANY_WATCHES")
    packed = AnyMessage()
    packed.Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    status.details.append(packed)
    return status


def _page(*sequences: int, epoch: str = "a") -> pb.WatchOrchestrationResponse:
    events = [messages.finished(each, each) for each in sequences]
    return pb.WatchOrchestrationResponse(events=pb.EventPage(events=events, epoch=epoch))


def _snapshot(sequence: int, epoch: str = "a") -> pb.WatchOrchestrationResponse:
    orchestration = messages.progressive_search(last_sequence=sequence)
    return pb.WatchOrchestrationResponse(
        snapshot=pb.Snapshot(orchestration=orchestration, epoch=epoch)
    )


def _bookmark(sequence: int, epoch: str = "a") -> pb.WatchOrchestrationResponse:
    return pb.WatchOrchestrationResponse(bookmark=pb.Bookmark(sequence=sequence, epoch=epoch))


@dataclass
class _Scripted(messages.ScriptedStore):
    """Plays one script per stream: messages, then a status or a clean end."""

    scripts: list[Sequence[Any]]
    requests: list[tuple[int | None, str | None]] = field(default_factory=list)

    def WatchOrchestration(
        self, request: pb.WatchOrchestrationRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchOrchestrationResponse]:
        self.requests.append(
            (
                request.after_sequence if request.HasField("after_sequence") else None,
                request.epoch if request.HasField("epoch") else None,
            )
        )
        for step in self.scripts.pop(0):
            if isinstance(step, Status):
                code = next(each for each in grpc.StatusCode if each.value[0] == step.code)
                messages.refuse(context, code, step)
            yield step


class _Watch:
    """Watches a script to its end without waiting."""

    def __init__(self, *scripts: Sequence[Any]) -> None:
        self.store = _Scripted(list(scripts))
        self.slept: list[float] = []
        self.interruptions: list[Interruption] = []

    def run(self, after_sequence: int | None = None, **options: Any) -> list[WatchItem]:
        backoff = Backoff(random=random.Random(7), sleep=self.slept.append)
        with messages.serving(self.store) as address, Crescendo(address, address) as client:
            return list(
                client.watch(
                    messages.ID,
                    after_sequence,
                    backoff=backoff,
                    on_interruption=self.interruptions.append,
                    **options,
                )
            )


def _sequences(items: list[WatchItem]) -> list[int]:
    return [item.sequence for item in items if isinstance(item, Event)]


@pytest.mark.parametrize("status", [_UNAVAILABLE, _SLOW, _full(0)], ids=["drain", "slow", "full"])
def test_a_watch_that_was_ended_goes_on_behind_its_last_event_in_its_epoch(status: Status) -> None:
    watch = _Watch([_snapshot(2), _page(3, 4), status], [status], [_page(5), _bookmark(5)])
    items = watch.run()
    assert _sequences(items) == [3, 4, 5]
    assert watch.store.requests == [(None, None), (4, "a"), (4, "a")]
    whole = _Watch([_snapshot(2), _page(3, 4, 5)]).run()
    assert items == whole


def test_a_full_store_is_asked_again_after_the_time_it_says() -> None:
    watch = _Watch([_full(5)], [_full(5)], [_page(1)])
    assert _sequences(watch.run(0)) == [1]
    assert [each.error.reason for each in watch.interruptions] == ["TOO_MANY_WATCHES"] * 2
    first, second = watch.slept
    # What it says, and jitter on top.
    assert 5.0 < first <= 5.2
    assert 5.0 < second <= 5.4
    assert first != second


@pytest.mark.parametrize(
    ("status", "kind", "parent"),
    [
        (_EPOCH, EpochChanged, Conflict),
        (_EXPIRED, CursorExpired, CursorOutOfRange),
        (_AHEAD, CursorAhead, CursorOutOfRange),
    ],
    ids=["epoch", "expired", "ahead"],
)
def test_a_log_that_cannot_be_resumed_is_an_error_of_its_own_kind(
    status: Status, kind: type[CrescendoError], parent: type[CrescendoError]
) -> None:
    for scripts in ([[status]], [[_page(1), _UNAVAILABLE], [status]]):
        watch = _Watch(*scripts)
        with pytest.raises(kind) as caught:
            watch.run(0)
        assert isinstance(caught.value, parent)
        assert caught.value.message == status.message
        assert not watch.store.scripts


@pytest.mark.parametrize("status", [_EPOCH, _EXPIRED, _AHEAD], ids=["epoch", "expired", "ahead"])
def test_on_request_it_starts_again_with_a_snapshot(status: Status) -> None:
    watch = _Watch(
        [_snapshot(2), _page(3), _UNAVAILABLE], [status], [_snapshot(1, "b"), _page(2, epoch="b")]
    )
    items = watch.run(restart=True)
    assert watch.store.requests == [(None, None), (3, "a"), (None, None)]
    kinds = [(type(item), item.sequence, item.epoch) for item in items]
    assert kinds == [(Snapshot, 2, "a"), (Event, 3, "a"), (Snapshot, 1, "b"), (Event, 2, "b")]


def test_an_epoch_that_was_kept_is_sent_with_its_cursor() -> None:
    watch = _Watch([_page(8, epoch="kept")])
    watch.run(7, epoch="kept")
    assert watch.store.requests == [(7, "kept")]


@pytest.mark.parametrize("message", [_page(2, epoch="b"), _bookmark(1, epoch="b")])
def test_another_epoch_within_a_stream_is_noticed_whoever_sends_it(
    message: pb.WatchOrchestrationResponse,
) -> None:
    with pytest.raises(EpochChanged, match="epoch b now, not a"):
        _Watch([_page(1), message]).run(0)
    watch = _Watch([_page(1), message], [_snapshot(4, "b")])
    *_, last = watch.run(0, restart=True)
    assert (type(last), last.epoch) == (Snapshot, "b")


def test_a_store_without_epochs_is_watched_all_the_same() -> None:
    watch = _Watch([_page(1, epoch=""), _UNAVAILABLE], [_page(2, epoch="")])
    assert _sequences(watch.run(0)) == [1, 2]
    assert watch.store.requests == [(0, None), (1, None)]


def test_patience_ends_with_a_full_store_too() -> None:
    watch = _Watch(*[[_full(5)]] * 3)
    with (
        messages.serving(watch.store) as address,
        Crescendo(address, address) as client,
        pytest.raises(Exhausted) as caught,
    ):
        list(client.watch(messages.ID, backoff=Backoff(patience_seconds=0, sleep=lambda _: None)))
    assert caught.value.retry_seconds == 5.0
