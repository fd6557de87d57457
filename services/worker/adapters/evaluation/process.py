"""One child process, as its parent sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil
import structlog

from services.core.limits import MAX_RESULT_BYTES
from services.core.pruning_settings import StepKind
from services.core.space import Assignment
from services.core.step_judging import StepScore
from services.core.trial import Failure, FailureKind
from services.worker.adapters.evaluation.answers import (
    Answers,
    Conversation,
    ProtocolError,
    evaluation_of,
)
from services.worker.adapters.evaluation.endings import Ending
from services.worker.adapters.evaluation.exits import cause, has_exited
from services.worker.adapters.evaluation.family import descendants, end_family, relatives_of
from services.worker.adapters.evaluation.framing import frame
from services.worker.adapters.evaluation.growth import Growth
from services.worker.adapters.evaluation.limits import ChildLimits
from services.worker.adapters.evaluation.memory import resident
from services.worker.adapters.evaluation.oom import oom_kills, ran_out_of_memory
from services.worker.adapters.evaluation.output import OutputDrain
from services.worker.adapters.evaluation.standards import advice_to_proto, evaluate_to_proto
from services.worker.adapters.metrics import count_preprocessing
from services.worker.ports import Advice, Advisor, Evaluation, Standard
from tuning.v1 import evaluation_messages_pb2 as pb

logger = structlog.get_logger()

PREPARE_SECONDS = 600.0
_TERMINATE_SECONDS = 5.0
_KILL_SECONDS = 2.0
_CLOSE_SECONDS = 2.0
# Process ids come round again, on a busy machine within minutes.
_GROUP_SECONDS = 10.0
# Of a result that came while nobody looked, because this process was frozen past the wall limit.
_LATE_SECONDS = 0.1


class Child:
    """A child process with one conversation over its pipes; made by `start_child`."""

    def __init__(
        self, process: asyncio.subprocess.Process, *, mark: str, limits: ChildLimits
    ) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("the child's pipes must be ours")
        self._process = process
        self._mark = mark
        self._limits = limits
        self._requests = process.stdin
        self._answers = Answers(process.stdout)
        self._output = OutputDrain(process.stderr, pid=process.pid)
        self._exited = asyncio.create_task(process.wait())
        self._exited.add_done_callback(self._note_exit)
        self._exited_at: float | None = None
        self._deaf = asyncio.create_task(self._watch_requests())
        self._request_number = 0
        self._prepared: bytes | None = None
        self._growth = Growth(limits, lambda: resident(process.pid))
        self._relatives: set[psutil.Process] = set()
        self._verdict: Failure | None = None
        self.evaluations = 0
        self.is_busy = False
        self.ending: Ending | None = None

    @property
    def pid(self) -> int:
        """The child's process id, which is its process group's too."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended, and still makes sense."""
        return self.ending is None and not self.has_exited and self._answers.is_sound

    @property
    def has_exited(self) -> bool:
        """Whether the kernel says that it has ended."""
        return self._exited.done() or has_exited(self.pid)

    @property
    def prepared(self) -> bytes | None:
        """The preparation it has now."""
        return self._prepared

    async def greeting(self, *, patience_seconds: float) -> None:
        """Waits until the child has imported everything.

        Raises: OSError: it ended, said something else, or said nothing in time.
        """
        try:
            async with asyncio.timeout(patience_seconds):
                answer = await self._answers.next()
        except TimeoutError as error:
            raise OSError("a child process did not start in time") from error
        except ProtocolError as error:
            raise OSError(f"a child process began with nonsense: {error}") from error
        if answer is None:
            raise OSError(f"a child process ended at its start: {self._output.tail()}")
        self._answers.expect(something=False)

    async def evaluate(
        self,
        prepare: bytes,
        parameters: Assignment,
        *,
        timeout_seconds: float | None,
        on_split: Callable[[int, float], None],
        standard: Standard | None = None,
        advisor: Advisor | None = None,
    ) -> Evaluation:
        """Evaluates one assignment; the death of the child is a value like any other failure.

        Args:
            prepare: the serialized Prepare; sent only if the child does not have it.
            timeout_seconds: wall limit, from the moment the preparation stands. Past it the child is
                killed.
            standard: what makes the rest of its splits worth scoring; None scores them all.
            advisor: is told of every step and says how the evaluation goes on; None where it just does.
        """
        kills_before = oom_kills()
        self._output.begin()
        new = prepare != self._prepared
        request = self._encode(prepare if new else None, parameters, standard)
        conversation = Conversation(
            preparing=self._request_number - 1 if new else 0, evaluating=self._request_number
        )
        if new:
            self._prepared = None
        self.is_busy = True
        self._answers.expect(something=True)
        try:
            async with asyncio.timeout(PREPARE_SECONDS if new else timeout_seconds) as timer:
                # A pipe that broke this moment says so by the end of the other one.
                with suppress(RuntimeError, OSError):
                    self._requests.write(request)
                while (answer := await self._answers.next()) is not None:
                    if conversation.is_preparation(answer):
                        if not answer.ended.HasField("failure"):
                            self._prepared = prepare
                        new = False
                        timer.reschedule(_deadline(timeout_seconds))
                    elif (step := conversation.step(answer)) is not None:
                        if step.kind is StepKind.FOLD:
                            on_split(step.step - 1, step.value)
                        await self._advise(step, advisor, waits=answer.split_scored.waits)
                    else:
                        return self._ended(answer)
        except TimeoutError:
            return await self._timed_out(
                conversation, None if new else timeout_seconds, on_split=on_split
            )
        except ProtocolError as error:
            self.ending = Ending.PROTOCOL
            await self.kill()
            logger.warning("child spoke nonsense", pid=self.pid, error=str(error))
            return _failed(
                FailureKind.CRASH,
                "the process that ran the trial wrote something to its worker that is no answer",
            )
        finally:
            self._answers.expect(something=False)
            self.is_busy = False
        return Evaluation(failure=await self._death(kills_before))

    def worn_by(self) -> Ending | None:
        """Says why another child should take its place before long; None while it is fit."""
        if self.evaluations >= self._limits.max_evaluations:
            return Ending.EVALUATIONS
        if self._growth.is_past_limit():
            return Ending.GROWTH
        return None

    def has_company(self) -> bool:
        """Whether processes it was seen to have started still live."""
        return bool(self._relatives and not self.has_exited and descendants(self.pid))

    def note_relatives(self, pids: Iterable[int]) -> set[psutil.Process]:
        """Remembers processes seen below the child, to end them with it. Returns: those not known before."""
        new = relatives_of(self.pid, pids) - self._relatives
        self._relatives |= new
        return new

    async def condemn(self, ending: Ending, failure: Failure | None) -> None:
        """Kills it at once.

        Args:
            failure: what the trial it runs is told; None for whatever its end looks like.
        """
        self.ending = self.ending or ending
        self._verdict = self._verdict or failure
        await self._end_family()
        # Should anyone still hold the pipe, this is its end all the same.
        self._answers.close()

    async def kill(self) -> None:
        """Ends the child and everything it started: SIGTERM, then SIGKILL after five seconds."""
        # The library waits for the end of the pipe too, which a full one does not reach by itself.
        self._answers.close()
        # Looked for before anything ends: what an orphan was the child of is forgotten.
        if not self.has_exited:
            self.note_relatives(await asyncio.to_thread(descendants, self.pid))
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_TERMINATE_SECONDS):
                    await asyncio.shield(self._exited)
            except TimeoutError:
                logger.warning("child ignored SIGTERM", pid=self.pid)
        # The child may be gone and its own children not.
        await self._end_family()
        try:
            async with asyncio.timeout(_KILL_SECONDS):
                await asyncio.shield(self._exited)
        except TimeoutError:
            logger.error("child outlived SIGKILL for now", pid=self.pid)
        self._deaf.cancel()
        self._requests.close()
        self._answers.abandon()
        await self._output.close()

    async def close(self) -> None:
        """Ends an idle child by ending its input."""
        self._requests.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.shield(self._exited)
        except TimeoutError:
            logger.warning("child outlived its input", pid=self.pid)
        await self.kill()

    async def end_leftovers(self) -> None:
        """Kills what earlier trials left running beside the child, and not the child."""
        left, self._relatives = self._relatives, set()
        for each in left:
            with suppress(psutil.Error):
                each.kill()
        logger.warning("a trial left processes behind: killed", pid=self.pid, count=len(left))

    def _encode(
        self, prepare: bytes | None, parameters: Assignment, standard: Standard | None
    ) -> bytes:
        encoded = b""
        if prepare is not None:
            self._request_number += 1
            content = pb.Prepare.FromString(prepare)
            encoded += _request(
                pb.ChildRequest(request_number=self._request_number, prepare=content)
            )
        self._request_number += 1
        return encoded + _request(
            pb.ChildRequest(
                request_number=self._request_number,
                evaluate=evaluate_to_proto(parameters, standard),
            )
        )

    async def _advise(self, step: StepScore, advisor: Advisor | None, *, waits: bool) -> None:
        """Tells the child how its evaluation goes on; one that waits is told something in any case."""
        advice = Advice() if advisor is None else await advisor(step, waits=waits)
        if not waits and advice == Advice():
            return
        content = advice_to_proto(advice, step=step.step if waits else 0)
        # A pipe that broke this moment says so by the end of the other one.
        with suppress(RuntimeError, OSError):
            self._requests.write(
                _request(pb.ChildRequest(request_number=self._request_number, advice=content))
            )

    def _ended(self, answer: pb.ChildResponse) -> Evaluation:
        self.evaluations += 1
        size = answer.ByteSize()
        if size > MAX_RESULT_BYTES:
            return _failed(
                FailureKind.RESULT_TOO_LARGE,
                f"the result has {size} bytes; at most {MAX_RESULT_BYTES} are allowed",
            )
        kept = answer.ended.prefixes
        count_preprocessing(reused=kept.steps_reused, fitted=kept.steps_fitted)
        self._growth.note(self._prepared, kept_bytes=kept.held_bytes)
        return evaluation_of(answer)

    async def _timed_out(
        self,
        conversation: Conversation,
        timeout_seconds: float | None,
        *,
        on_split: Callable[[int, float], None],
    ) -> Evaluation:
        """Ends a trial past its limit, unless its result is there already."""
        with suppress(TimeoutError, ProtocolError):
            # This process may have been frozen while the child was not.
            async with asyncio.timeout(_LATE_SECONDS):
                while (answer := await self._answers.next()) is not None:
                    if conversation.is_preparation(answer):
                        break
                    if (step := conversation.step(answer)) is None:
                        return self._ended(answer)
                    if step.kind is StepKind.FOLD:
                        on_split(step.step - 1, step.value)
        self.ending = self.ending or Ending.TIMEOUT
        await self.kill()
        if self._verdict is not None:
            return Evaluation(failure=self._verdict)
        return _failed(
            FailureKind.TIMEOUT,
            f"the trial ran longer than its limit of {timeout_seconds:g} s"
            if timeout_seconds is not None
            else f"the preparation took longer than {PREPARE_SECONDS:g} s",
        )

    async def _death(self, kills_before: int) -> Failure:
        code: int | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(_TERMINATE_SECONDS):
                code = await asyncio.shield(self._exited)
        self.ending = self.ending or Ending.CRASH
        await self.kill()
        if self._verdict is not None:
            return self._verdict
        if code is None:
            # It closed its pipe and lived on: of no use to anyone.
            return Failure(
                kind=FailureKind.CRASH, message="the process that ran the trial stopped answering"
            )
        tail = self._output.tail()
        logger.warning("child died", pid=self.pid, code=code, output=tail)
        killed = code == -signal.SIGKILL and oom_kills() > kills_before
        if killed or ran_out_of_memory(tail):
            self.ending = Ending.MEMORY
            return Failure(
                kind=FailureKind.OOM,
                message="the process that ran the trial was killed for want of memory"
                if killed
                else f"the process that ran the trial ran out of memory and died: {cause(code)}",
            )
        return Failure(
            kind=FailureKind.CRASH, message=f"the process that ran the trial died: {cause(code)}"
        )

    async def _watch_requests(self) -> None:
        """Ends a child that does not listen any more: its trial would never begin, or never end."""
        with suppress(OSError):
            await self._requests.wait_closed()
        if self._requests.is_closing() and self._process.returncode is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TERMINATE_SECONDS):
                    await asyncio.shield(self._exited)
                    return
            logger.warning("child closed its input", pid=self.pid)
            await self._end_family()

    async def _end_family(self) -> None:
        if not self.has_exited:
            self.note_relatives(await asyncio.to_thread(descendants, self.pid))
        self._signal(signal.SIGKILL)
        await asyncio.to_thread(end_family, self._mark, set(self._relatives))

    def _note_exit(self, _: asyncio.Task[int]) -> None:
        self._exited_at = time.monotonic()

    def _signal(self, number: signal.Signals) -> None:
        """Signals the child's process group; not when its number may be another's by now."""
        if self._exited_at is not None and time.monotonic() - self._exited_at > _GROUP_SECONDS:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _request(request: pb.ChildRequest) -> bytes:
    return frame(request.SerializeToString())


def _deadline(seconds: float | None) -> float | None:
    return None if seconds is None else asyncio.get_running_loop().time() + seconds


def _failed(kind: FailureKind, message: str) -> Evaluation:
    return Evaluation(failure=Failure(kind=kind, message=message))
