"""Searchers in processes of their own: a model's fit must not hold up the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import structlog

from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.ports import SearcherFailed, SearchTask
from services.core.searcher import Suggestion
from services.core.trial import Trial

logger = structlog.get_logger()

# Importing scikit-learn in a new process takes seconds on a busy machine: that is not the searcher's fault.
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One call of a searcher."""

    task: SearchTask
    count: int
    first_index: int
    known: tuple[Trial, ...]


class _Broken(Exception):
    """The process died or did not answer in time."""


class _Child:
    """One process that answers questions in turn. Only one thread may use it at a time."""

    def __init__(self) -> None:
        # Forking a process with gRPC's threads deadlocks sooner or later.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_answer_questions, args=(theirs,), name="searcher", daemon=True
        )
        self._process.start()
        theirs.close()
        self._ready = False

    def ask(self, question: Question, timeout_seconds: float) -> list[Suggestion]:
        """Asks and waits. Raises: SearcherFailed, _Broken."""
        if not self._ready:
            self._receive(_START_SECONDS)
            self._ready = True
        try:
            self._pipe.send(question)
        except OSError as error:
            raise _Broken(f"the searcher's process is gone ({error})") from error
        suggestions, failure = self._receive(timeout_seconds)
        if failure:
            raise SearcherFailed(failure)
        return list(suggestions)

    def _receive(self, seconds: float) -> Any:
        try:
            if not self._pipe.poll(seconds):
                raise _Broken(f"no suggestion within {seconds:g} s")
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise _Broken(f"the searcher's process is gone ({error})") from error

    def kill(self) -> None:
        """Ends the process; whoever waits for it gets _Broken."""
        self._process.kill()
        self._process.join(5)
        self._pipe.close()


class SearcherProcesses:
    """A few processes that answer questions; one that breaks is replaced.

    Args:
        timeout_seconds: how long one answer may take.
    """

    def __init__(self, *, processes: int, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._slots = asyncio.Semaphore(processes)
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()

    def warm_up(self) -> None:
        """Starts a process ahead of the first question, unless there is one."""
        if not self._idle and not self._busy:
            self._idle.append(_Child())

    async def ask(self, question: Question) -> list[Suggestion]:
        """Asks in a process; tries once more in a new one when it breaks.

        Raises: SearcherFailed: the searcher raised, or broke its process twice.
        """
        async with self._slots:
            try:
                return await self._ask(question)
            except _Broken as error:
                logger.warning("searcher process replaced", cause=str(error))
            try:
                return await self._ask(question)
            except _Broken as error:
                raise SearcherFailed(str(error)) from error

    async def _ask(self, question: Question) -> list[Suggestion]:
        child = self._idle.pop() if self._idle else _Child()
        self._busy.add(child)
        answer = asyncio.ensure_future(
            asyncio.to_thread(child.ask, question, self._timeout_seconds)
        )
        try:
            suggestions = await asyncio.shield(answer)
        except SearcherFailed:
            self._idle.append(child)
            raise
        except (asyncio.CancelledError, _Broken):
            child.kill()
            # The thread ends with its process; its outcome is of no use any more.
            await asyncio.gather(answer, return_exceptions=True)
            raise
        finally:
            self._busy.discard(child)
        self._idle.append(child)
        return suggestions

    def close(self) -> None:
        """Ends all processes."""
        for child in [*self._idle, *self._busy]:
            child.kill()
        self._idle.clear()


def _answer_questions(pipe: Connection) -> None:
    # Ctrl-C reaches the whole process group; when to stop is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    # Imported here: the parent never needs them.
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    import services.coordinator.adapters.searchers.gaussian_process  # noqa: F401, PLC0415

    with threadpool_limits(limits=1), contextlib.suppress(EOFError, OSError):
        pipe.send(None)
        while True:
            pipe.send(_answer(pipe.recv()))


def _answer(question: Question) -> tuple[Sequence[Suggestion], str]:
    try:
        suggestions = make_searcher(question.task).ask(
            count=question.count, first_index=question.first_index, known=question.known
        )
    except SearcherFailed as failure:
        return (), str(failure)
    except Exception as error:  # noqa: BLE001 (whatever a library raises, another method can go on)
        return (), f"{type(error).__name__}: {error}"[:1_000]
    return suggestions, ""


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
