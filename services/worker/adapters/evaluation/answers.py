"""What a child says, as its parent hears it: nothing it says is believed unless it fits."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import suppress

from google.protobuf.message import DecodeError

from services.common.convert.pruning import decision_from_proto, step_kind_from_proto
from services.common.convert.trials import (
    failure_from_proto,
    interval_method_from_proto,
    scores_from_proto,
    splits_from_proto,
)
from services.core.pruning_settings import StepKind
from services.core.step_judging import StepScore
from services.worker.adapters.evaluation.framing import FrameTooLarge, receive_frame
from services.worker.ports import Evaluation
from tuning.v1 import evaluation_messages_pb2 as pb

_CHUNK_BYTES = 64 * 1024


class ProtocolError(Exception):
    """A child said something that is no answer to what it was asked."""


class Answers:
    """Reads a child's answers as they come, between trials too."""

    def __init__(self, source: asyncio.StreamReader) -> None:
        self._source = source
        self._heard: deque[pb.ChildResponse] = deque()
        self._news = asyncio.Event()
        self._expecting = True
        self._nonsense: str | None = None
        self._ended = False
        self._draining: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run())

    @property
    def is_sound(self) -> bool:
        """Whether the child still talks, and has said nothing that it was not asked for."""
        return not self._ended and self._nonsense is None and not self._heard

    def expect(self, *, something: bool) -> None:
        """Says whether anything the child may say from now on is an answer."""
        self._expecting = something

    def heard(self) -> bool:
        """Whether an answer is there to be taken."""
        return bool(self._heard)

    async def next(self) -> pb.ChildResponse | None:
        """Waits for the next answer; None when there will be no more.

        Raises: ProtocolError: the child said something else.
        """
        while not self._heard:
            if self._nonsense is not None:
                raise ProtocolError(self._nonsense)
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._heard.popleft()

    def close(self) -> None:
        """Stops listening; what still comes is read and forgotten, for a full pipe never tells of its end."""
        if self._draining is None:
            self._task.cancel()
            self._draining = asyncio.create_task(self._drain())

    def abandon(self) -> None:
        """Stops reading, whoever may still hold the pipe."""
        self._task.cancel()
        if self._draining is not None:
            self._draining.cancel()

    async def _drain(self) -> None:
        await asyncio.wait({self._task})
        with suppress(OSError):
            while await self._source.read(_CHUNK_BYTES):
                pass

    async def _run(self) -> None:
        try:
            while (message := await receive_frame(self._source)) is not None:
                if not self._expecting:
                    raise ProtocolError("spoke without being asked")
                self._heard.append(pb.ChildResponse.FromString(message))
                self._news.set()
        except (DecodeError, FrameTooLarge, ProtocolError) as error:
            self._nonsense = f"{type(error).__name__}: {error}"
        finally:
            self._ended = True
            self._news.set()


class Conversation:
    """Checks the answers to one evaluation, and the preparation before it where there is one.

    Args:
        preparing: the number of the request to prepare; 0 for none.
        evaluating: the number of the request to evaluate.
    """

    def __init__(self, *, preparing: int, evaluating: int) -> None:
        self._preparing = preparing
        self._evaluating = evaluating
        self._next: dict[StepKind, int] = {}

    def is_preparation(self, answer: pb.ChildResponse) -> bool:
        """Whether an answer says how the preparation went.

        Raises: ProtocolError: it answers no question that is open.
        """
        number, content = answer.request_number, answer.WhichOneof("content")
        if self._preparing and number == self._preparing and content == "ended":
            self._preparing = 0
            return True
        if self._preparing or number != self._evaluating or content is None:
            raise ProtocolError(f"an answer to request {number}, which is not open")
        return False

    def step(self, answer: pb.ChildResponse) -> StepScore | None:
        """Gives the step an answer tells of; None when it tells of the end.

        Raises: ProtocolError: folds out of order, other steps not rising, or a value that is not finite.
        """
        if answer.WhichOneof("content") != "split_scored":
            return None
        told = answer.split_scored
        try:
            kind = step_kind_from_proto(told.kind)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        due = self._next.get(kind, 0)
        in_order = told.split == due if kind is StepKind.FOLD else told.split >= due
        if not in_order or not math.isfinite(told.score):
            raise ProtocolError(
                f"{kind.value} {told.split} with score {told.score} where {due} is due"
            )
        self._next[kind] = told.split + 1
        return StepScore(step=told.split + 1, value=told.score, kind=kind)


def evaluation_of(answer: pb.ChildResponse) -> Evaluation:
    """Gives what came of an evaluation, of the answer that tells of its end."""
    ended = answer.ended
    return Evaluation(
        metrics=scores_from_proto(ended.metrics),
        failure=failure_from_proto(ended.failure),
        fit_seconds=ended.fit_seconds,
        score_seconds=ended.score_seconds,
        prune_decision=decision_from_proto(ended.prune_decision),
        splits=splits_from_proto(ended.splits),
        interval_method=interval_method_from_proto(ended.interval_method),
    )
