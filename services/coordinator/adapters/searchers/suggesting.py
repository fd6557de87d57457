"""Asks searchers: those that only count and draw inline, those with a model in other processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from services.coordinator.adapters import metrics
from services.coordinator.adapters.searchers.process import SearcherProcesses
from services.coordinator.adapters.searchers.questions import Question
from services.coordinator.adapters.searchers.registry import (
    RUN_IN_PROCESS,
    make_searcher,
)
from services.coordinator.ports import SearchTask
from services.core.searcher import Searcher, Suggestion
from services.core.trial import Trial


class PooledSuggesting:
    """Implements Suggesting.

    Args:
        processes: how many model-based searchers may think at once.
        timeout_seconds: how long one of them may take.
    """

    def __init__(self, *, processes: int, timeout_seconds: float) -> None:
        self._processes = SearcherProcesses(processes=processes, timeout_seconds=timeout_seconds)
        self._inline: dict[str, tuple[SearchTask, Searcher]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._processes.close()

    async def suggest(
        self, task: SearchTask, *, count: int, first_index: int, known: Sequence[Trial]
    ) -> Sequence[Suggestion]:
        """As in Suggesting."""
        began = time.perf_counter()
        outcome = "failed"
        try:
            suggestions = await self._suggest(task, count, first_index, known)
            outcome = "answered"
            return suggestions
        finally:
            metrics.SUGGESTION_SECONDS.labels(method=task.method, outcome=outcome).observe(
                time.perf_counter() - began
            )

    async def _suggest(
        self, task: SearchTask, count: int, first_index: int, known: Sequence[Trial]
    ) -> Sequence[Suggestion]:
        if task.method in RUN_IN_PROCESS:
            question = Question(task=task, count=count, first_index=first_index, known=tuple(known))
            return await self._processes.ask(question)
        if task.stage_index > 0:
            # Stages after the first are followed by model-based ones: their imports take seconds.
            self._processes.warm_up()
        cached = self._inline.get(task.tuning_run_id)
        if cached is None or cached[0] != task:
            # In a thread: what a searcher imports may take seconds, which the event loop has not.
            cached = (task, await asyncio.to_thread(make_searcher, task))
            self._inline[task.tuning_run_id] = cached
        return cached[1].ask(count=count, first_index=first_index, known=known)

    def forget(self, tuning_run_id: str) -> None:
        """As in Suggesting."""
        self._inline.pop(tuning_run_id, None)
