"""What a process cannot live without: when one of its critical tasks ends, the process ends too.

A service whose heart stopped while its health checks still answer is worse than one that is gone:
nobody starts it anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A critical task that ended: its name, and its error; None for one that just ended."""

    name: str
    error: BaseException | None


class RepeatedFailure(Exception):
    """A loop that was begun anew keeps failing: going on would only hide it."""


class VitalTask:
    """A task that may end in one way only: by `stop`."""

    def __init__(self, task: asyncio.Task[None], failed: Callable[[Failure], None]) -> None:
        self._task = task
        self._failed = failed
        self._stopping = False
        task.add_done_callback(self._ended)

    async def stop(self, *, again_seconds: float = 5.0) -> None:
        """Cancels the task and waits for its end; idempotent.

        Args:
            again_seconds: after so long it is cancelled again, as a library may take a cancellation for
                a broken connection; long enough for what the task does at its end.
        """
        self._stopping = True
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=again_seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._stopping and error is None:
            return
        logger.critical("a critical task ended", task=task.get_name(), exc_info=error or False)
        self._failed(Failure(name=task.get_name(), error=error))


class Vitals:
    """The critical tasks of one process.

    A service takes it as an argument, starts its critical tasks through it and stops them when it
    drains. Whoever runs the service waits for `wait_failed` beside its own reasons to stop.
    """

    def __init__(self) -> None:
        self._failure: Failure | None = None
        self._event = asyncio.Event()

    @property
    def failure(self) -> Failure | None:
        """What failed first; None while all is well."""
        return self._failure

    async def wait_failed(self) -> Failure:
        """Waits until a critical task has ended, and says which."""
        await self._event.wait()
        if self._failure is None:
            raise RuntimeError("failed without a failure")
        return self._failure

    def start(self, name: str, critical: Coroutine[Any, Any, None]) -> VitalTask:
        """Starts a task that must not end; in an error, silently or by a stray cancellation."""
        return VitalTask(asyncio.get_running_loop().create_task(critical, name=name), self.fail)

    def keep(
        self,
        name: str,
        loop: Callable[[], Coroutine[Any, Any, None]],
        *,
        restart_seconds: float = 0.5,
    ) -> VitalTask:
        """Starts a loop that is begun anew when it fails, as `kept_running` says."""
        return self.start(name, kept_running(name, loop, restart_seconds=restart_seconds))

    def fail(self, failure: Failure) -> None:
        """Says that something vital has failed; the first to say so counts."""
        if self._failure is None:
            self._failure = failure
            self._event.set()


async def kept_running(
    name: str,
    loop: Callable[[], Coroutine[Any, Any, None]],
    *,
    restart_seconds: float = 0.5,
    max_failures: int = 10,
    within_seconds: float = 60.0,
) -> None:
    """Runs a loop that never ends by itself; begins it anew after an error nobody foresaw.

    Args:
        name: of the loop, for logs.
        loop: everything it knows must be in its arguments or in the database.
        restart_seconds: pause before it begins anew.
        max_failures: that many ends within `within_seconds` are one too many.
        within_seconds: on the event loop's clock.

    Raises: RepeatedFailure: it keeps failing.
    """
    clock = asyncio.get_running_loop().time
    ends: deque[float] = deque(maxlen=max_failures)
    while True:
        error: BaseException | None = None
        try:
            await loop()
        except asyncio.CancelledError as caught:
            # One that nobody asked this task for comes from a library that gave something up.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            error = caught
        except Exception as caught:  # noqa: BLE001 (logged below; a bug in one round must not end the rest)
            error = caught
        ends.append(clock())
        logger.critical(
            "a background loop failed; beginning it anew",
            task=name,
            failures=len(ends),
            exc_info=error or False,
        )
        if len(ends) == max_failures and ends[-1] - ends[0] <= within_seconds:
            raise RepeatedFailure(
                f"{name} ended {max_failures} times within {within_seconds:g} s"
            ) from error
        await asyncio.sleep(restart_seconds)
