"""Turns: those who wait for the same news are woken in order, a few at a time."""

from __future__ import annotations

import asyncio

from services.store.adapters.turns import Turns


async def _rounds(turns: Turns, waiters: list[asyncio.Future[None]]) -> list[list[int]]:
    """Gives who was woken in which round of the loop."""
    turns.add(waiters)
    rounds: list[list[int]] = []
    known: set[int] = set()
    while len(known) < sum(not each.cancelled() for each in waiters):
        await asyncio.sleep(0)
        done = [place for place, each in enumerate(waiters) if each.done()]
        rounds.append(
            [each for each in done if each not in known and not waiters[each].cancelled()]
        )
        known.update(rounds[-1])
    return [each for each in rounds if each]


def _waiters(count: int) -> list[asyncio.Future[None]]:
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(count)]


async def test_waiters_are_woken_in_order_and_a_few_in_each_round() -> None:
    assert await _rounds(Turns(at_once=2), _waiters(5)) == [[0, 1], [2, 3], [4]]


async def test_who_has_left_takes_no_turn() -> None:
    waiters = _waiters(4)
    waiters[0].cancel()
    waiters[2].cancel()
    assert await _rounds(Turns(at_once=2), waiters) == [[1, 3]]


async def test_who_comes_later_is_woken_behind_those_who_wait() -> None:
    turns = Turns(at_once=2)
    first, second = _waiters(3), _waiters(2)
    turns.add(first)
    assert await _rounds(turns, second) == [[0], [1]]
    assert all(each.done() for each in first)


async def test_waiters_of_a_later_time_are_woken_too() -> None:
    turns = Turns(at_once=2)
    assert await _rounds(turns, _waiters(2)) == [[0, 1]]
    assert await _rounds(turns, _waiters(1)) == [[0]]
