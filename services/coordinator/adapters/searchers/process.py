"""Searchers in processes of their own: a model's fit must not hold up the event loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from multiprocessing.connection import Connection

import structlog

from services.coordinator.adapters.searchers.questions import Answer, Question, Sender
from services.coordinator.ports import SearcherFailed
from services.core.searcher import Suggestion

logger = structlog.get_logger()

# Importing scikit-learn in a new process takes seconds, on a busy machine a minute: not the searcher's
# fault, which would cost the search its method.
_START_SECONDS = 120.0
_CHILD = "services.coordinator.adapters.searchers.child"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _Broken(Exception):
    """The process died or did not answer in time."""


class _Child:
    """One process that answers questions in turn. Only one thread may use it at a time.

    Started by name rather than by multiprocessing, which would import the coordinator's own main
    module, and all of gRPC with it, into every child.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            # Ctrl-C is for the coordinator, which then ends its children itself.
            start_new_session=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise OSError("a searcher's process has no pipes")
        self._questions = Connection(os.dup(self._process.stdin.fileno()), readable=False)
        self._answers = Connection(os.dup(self._process.stdout.fileno()), writable=False)
        self._process.stdin.close()
        self._process.stdout.close()
        self._ready = False
        self._sender = Sender()

    def knows(self, question: Question) -> bool:
        """Whether it was last asked about the same task, and needs to be told little."""
        return self._sender.knows(question.task)

    def ask(self, question: Question, timeout_seconds: float) -> list[Suggestion]:
        """Asks and waits. Raises: SearcherFailed, _Broken."""
        if not self._ready:
            self._receive(_START_SECONDS)
            self._ready = True
        try:
            self._questions.send(self._sender.message(question))
        except OSError as error:
            raise _Broken(f"the searcher's process is gone ({error})") from error
        suggestions, failure = self._receive(timeout_seconds)
        if failure:
            raise SearcherFailed(failure)
        return suggestions

    def _receive(self, seconds: float) -> Answer:
        try:
            if not self._answers.poll(seconds):
                raise _Broken(f"no suggestion within {seconds:g} s")
            answer: Answer = self._answers.recv()
        except (EOFError, OSError) as error:
            raise _Broken("the searcher's process is gone") from error
        return answer

    def kill(self) -> None:
        """Ends the process; whoever waits for its answer gets _Broken."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Gives the pipes back once nobody uses them."""
        self._questions.close()
        self._answers.close()


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
        child = self._take(question)
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
            child.close()
            raise
        finally:
            self._busy.discard(child)
        self._idle.append(child)
        return suggestions

    def _take(self, question: Question) -> _Child:
        """Takes an idle process, rather one that knows the trials; a new one where none is idle."""
        knowing = next((each for each in self._idle if each.knows(question)), None)
        if knowing is not None:
            self._idle.remove(knowing)
            return knowing
        return self._idle.pop() if self._idle else _Child()

    def close(self) -> None:
        """Ends all processes; nothing may be asked any more."""
        for child in [*self._idle, *self._busy]:
            child.kill()
            child.close()
        self._idle.clear()


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        # Several processes with a thread per core each would only be in one another's way.
        **dict.fromkeys(_THREAD_VARIABLES, "1"),
        # The child finds the same packages, wherever this process was started.
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
    }
