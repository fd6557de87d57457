"""Turns: whoever waits for the same news is woken a few at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

# Less than a millisecond of writes: what else the process does waits no longer than that each time.
_AT_ONCE = 8


class Turns:
    """Wakes waiters in the order they came, a few in each round of the event loop.

    A thousand watchers woken at once would all write before anything else ran: commits, answers and the
    next events would wait for them, several times over. Taking turns, they share the loop; and who comes
    last finds the events that came meanwhile, and takes them along in the same page.

    Args:
        at_once: how many are woken in one round.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._at_once = at_once
        self._queue: deque[asyncio.Future[None]] = deque()
        self._is_due = False

    def add(self, waiters: Iterable[asyncio.Future[None]]) -> None:
        """Lets waiters have their turn behind those who have not had theirs."""
        self._queue.extend(waiters)
        if self._queue and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._wake_some)

    def _wake_some(self) -> None:
        woken = 0
        while self._queue and woken < self._at_once:
            waiter = self._queue.popleft()
            # Those who left, or whose time was up, have no turn.
            if not waiter.done():
                waiter.set_result(None)
                woken += 1
        self._is_due = bool(self._queue)
        if self._is_due:
            asyncio.get_running_loop().call_soon(self._wake_some)
