"""One child process, as its parent sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

import structlog

from services.common.convert.trials import failure_from_proto, scores_from_proto
from services.common.convert.values import assignment_to_proto
from services.core.space import Assignment
from services.core.trial import Failure, FailureKind
from services.worker.adapters.evaluation.environment import child_environment
from services.worker.adapters.evaluation.framing import FrameTooLarge, frame, receive_frame
from services.worker.adapters.evaluation.oom import oom_kills
from services.worker.adapters.evaluation.output import OutputDrain
from services.worker.ports import Evaluation
from tuning.v1 import evaluation_messages_pb2 as pb

logger = structlog.get_logger()

_MODULE = "services.worker.child"
_START_SECONDS = 120.0
_START_ATTEMPTS = 3
_START_PAUSE_SECONDS = 0.5
_PREPARE_SECONDS = 600.0
_TERMINATE_SECONDS = 5.0


class Child:
    """A child process with one conversation over its pipes; made by `start_child`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("the child's pipes must be ours")
        self._process = process
        self._requests = process.stdin
        self._answers = process.stdout
        self._request_number = 0
        self._prepared: bytes | None = None
        self._output = OutputDrain(process.stderr, pid=process.pid)
        self._exited = asyncio.create_task(process.wait())

    @property
    def pid(self) -> int:
        """The child's process id, which is its process group's too."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self._exited.done() and not _has_exited(self.pid)

    @property
    def prepared(self) -> bytes | None:
        """The preparation it has now."""
        return self._prepared

    async def greeting(self) -> None:
        """Waits until the child has imported everything.

        Raises: OSError: it ended, or said nothing in time.
        """
        try:
            async with asyncio.timeout(_START_SECONDS):
                answer = await receive_frame(self._answers)
        except TimeoutError as error:
            raise OSError("a child process did not start in time") from error
        if answer is None:
            raise OSError(f"a child process ended at its start: {self._output.tail()}")

    async def evaluate(
        self,
        prepare: bytes,
        parameters: Assignment,
        *,
        timeout_seconds: float | None,
        on_split: Callable[[int, float], None],
    ) -> Evaluation:
        """Evaluates one assignment; the death of the child is a value like any other failure.

        Args:
            prepare: the serialized Prepare; sent only if the child does not have it.
            timeout_seconds: wall limit, from the moment the preparation stands. Past it the child is
                killed.
        """
        kills_before = oom_kills()
        self._output.begin()
        request = b""
        if prepare != self._prepared:
            self._request_number += 1
            content = pb.Prepare.FromString(prepare)
            request += _request(
                pb.ChildRequest(request_number=self._request_number, prepare=content)
            )
            self._prepared = None
        preparing = self._request_number if request else 0
        self._request_number += 1
        evaluating = self._request_number
        request += _request(
            pb.ChildRequest(
                request_number=evaluating,
                evaluate=pb.Evaluate(parameters=assignment_to_proto(parameters)),
            )
        )
        limit = _PREPARE_SECONDS if preparing else timeout_seconds
        try:
            async with asyncio.timeout(limit) as timer:
                # A pipe that broke this moment says so here or by its end below, depending on the loop.
                with suppress(RuntimeError, OSError):
                    self._requests.write(request)
                while True:
                    message = await receive_frame(self._answers)
                    if message is None:
                        break
                    answer = pb.ChildResponse.FromString(message)
                    if answer.request_number == preparing:
                        if not answer.ended.HasField("failure"):
                            self._prepared = prepare
                        timer.reschedule(_deadline(timeout_seconds))
                    elif answer.request_number != evaluating:
                        continue
                    elif answer.WhichOneof("content") == "split_scored":
                        on_split(answer.split_scored.split, answer.split_scored.score)
                    else:
                        return _evaluation(answer.ended)
        except TimeoutError:
            await self.kill()
            text = (
                f"the trial ran longer than its limit of {timeout_seconds:g} s"
                if (timeout_seconds is not None)
                else f"the preparation took longer than {_PREPARE_SECONDS:g} s"
            )
            return Evaluation(failure=Failure(kind=FailureKind.TIMEOUT, message=text))
        except FrameTooLarge as error:
            await self.kill()
            return Evaluation(
                failure=Failure(kind=FailureKind.RESULT_TOO_LARGE, message=str(error))
            )
        return Evaluation(failure=await self._death(kills_before))

    async def kill(self) -> None:
        """Ends the child and everything it started: SIGTERM, then SIGKILL after five seconds."""
        if self.is_alive:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_TERMINATE_SECONDS):
                    await asyncio.shield(self._exited)
            except TimeoutError:
                logger.warning("child ignored SIGTERM", pid=self.pid)
        # The child may be gone and its own children not.
        self._signal(signal.SIGKILL)
        await asyncio.shield(self._exited)
        self._requests.close()
        await self._output.close()

    async def close(self) -> None:
        """Ends an idle child by ending its input."""
        self._requests.close()
        try:
            async with asyncio.timeout(_TERMINATE_SECONDS):
                await asyncio.shield(self._exited)
        except TimeoutError:
            logger.warning("child outlived its input", pid=self.pid)
        await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _death(self, kills_before: int) -> Failure:
        try:
            async with asyncio.timeout(_TERMINATE_SECONDS):
                code = await asyncio.shield(self._exited)
        except TimeoutError:
            # It closed its pipe and lives on: of no use to anyone.
            await self.kill()
            return Failure(
                kind=FailureKind.CRASH, message="the process that ran the trial stopped answering"
            )
        await self.kill()
        logger.warning("child died", pid=self.pid, code=code, output=self._output.tail())
        if code == -signal.SIGKILL and oom_kills() > kills_before:
            return Failure(
                kind=FailureKind.OOM,
                message="the process that ran the trial was killed for want of memory",
            )
        return Failure(
            kind=FailureKind.CRASH, message=f"the process that ran the trial died: {_cause(code)}"
        )


async def start_child() -> Child:
    """Starts a child and waits until it is ready; tries again when it ends at its very start.

    Raises: OSError: it cannot be started.
    """
    for _ in range(_START_ATTEMPTS - 1):
        try:
            return await _start_once()
        except OSError as error:
            logger.warning("child did not start; trying again", error=str(error))
            await asyncio.sleep(_START_PAUSE_SECONDS)
    return await _start_once()


async def _start_once() -> Child:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _MODULE,
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(dict(os.environ)),
        # A group of its own: signals reach whatever it starts, and a terminal's Ctrl-C does not.
        start_new_session=True,
    )
    child = Child(process)
    try:
        await child.greeting()
    except BaseException:
        await asyncio.shield(child.kill())
        raise
    return child


def _request(request: pb.ChildRequest) -> bytes:
    return frame(request.SerializeToString())


def _deadline(seconds: float | None) -> float | None:
    return None if seconds is None else asyncio.get_running_loop().time() + seconds


def _evaluation(ended: pb.EvaluationEnded) -> Evaluation:
    return Evaluation(
        metrics=scores_from_proto(ended.metrics),
        failure=failure_from_proto(ended.failure),
        fit_seconds=ended.fit_seconds,
        score_seconds=ended.score_seconds,
    )


def _has_exited(pid: int) -> bool:
    """Asks the kernel, which knows before the event loop does; leaves the exit status to be waited for."""
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # Waited for already.


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
