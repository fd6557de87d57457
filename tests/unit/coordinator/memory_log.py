"""An orchestration's event log in memory, and its watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from services.core.event import (
    Event,
    Notice,
    OrchestrationChanged,
    Payload,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryLog:
    """One orchestration's event log."""

    def __init__(self, orchestration_id: str) -> None:
        self.orchestration_id = orchestration_id
        self.events: list[Event] = []
        self.watches = 0
        self._news = asyncio.Event()

    @staticmethod
    def notice(text: str) -> Notice:
        return Notice(reason="TEST", message=text)

    def append(self, *payloads: Payload) -> None:
        for payload in payloads:
            self.events.append(
                Event(
                    orchestration_id=self.orchestration_id,
                    sequence=len(self.events) + 1,
                    occurred_at=NOW,
                    payload=payload,
                )
            )
        self._news.set()
        self._news = asyncio.Event()

    async def watch(
        self, orchestration_id: str, *, after_sequence: int
    ) -> AsyncIterator[Sequence[Event]]:
        self.watches += 1
        position = after_sequence
        while True:
            news = self._news
            page = self.events[position:]
            if page:
                position = page[-1].sequence
                yield page
                last = page[-1].payload
                if isinstance(last, OrchestrationChanged) and last.final:
                    return
            else:
                await news.wait()
