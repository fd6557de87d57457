"""From a message's bytes to a batch of trials, or to the dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from google.protobuf.message import DecodeError

from services.common import request_ids
from services.common.messaging.port import Disposition
from services.core.trial import TrialKey
from services.worker.adapters.metrics import MESSAGES
from services.worker.ports import TrialBatch
from tuning.v1 import task_messages_pb2 as pb

logger = structlog.get_logger()

VERSION = 1

# Far above any batch (a reference takes a few bytes): a longer body is not one of ours.
_MAX_BODY_BYTES = 256 * 1024


class BadMessage(ValueError):
    """A body that no retry makes better; `reason` is a constant for counters and logs."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class BatchConsumer:
    """A broker handler: decodes bodies and passes batches on; those it cannot read are dead letters."""

    def __init__(self, take: Callable[[TrialBatch], Awaitable[None]]) -> None:
        self._take = take

    async def __call__(self, body: bytes) -> Disposition:
        """Handles one body."""
        try:
            batch = decode(body)
        except BadMessage as error:
            logger.error(
                "message cannot be read: kept as a dead letter",
                reason=error.reason,
                error=str(error),
                bytes=len(body),
            )
            MESSAGES.labels(outcome=error.reason).inc()
            return Disposition.DEAD_LETTER
        with structlog.contextvars.bound_contextvars(request_id=batch.request_id):
            await self._take(batch)
        MESSAGES.labels(outcome="taken").inc()
        return Disposition.ACK


def decode(body: bytes) -> TrialBatch:
    """Decodes a body.

    Raises: BadMessage: it is too long, garbage, of an unknown version, or incomplete.
    """
    if len(body) > _MAX_BODY_BYTES:
        raise BadMessage("OVERSIZE", f"{len(body)} bytes; at most {_MAX_BODY_BYTES} are allowed")
    try:
        message = pb.TrialBatch.FromString(body)
    except DecodeError as error:
        raise BadMessage("GARBAGE", f"no TrialBatch: {error}") from error
    if message.version != VERSION:
        raise BadMessage(
            "UNKNOWN_VERSION", f"version {message.version}; this worker knows {VERSION}"
        )
    if not (message.orchestration_id and message.tuning_run_id and message.trials):
        raise BadMessage("INCOMPLETE", "a batch needs an orchestration, a tuning run and trials")
    return TrialBatch(
        orchestration_id=message.orchestration_id,
        tuning_run_id=message.tuning_run_id,
        trials=tuple(
            TrialKey(
                orchestration_id=message.orchestration_id,
                number=each.number,
                attempt=each.attempt,
            )
            for each in message.trials
        ),
        # Goes into logs as it is: one that no call may carry is none, and another is made up.
        request_id=request_ids.usable(message.request_id) or request_ids.make_up(),
    )
