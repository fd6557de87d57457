"""Ending a call with an error: in words where the error is known, with an id to quote where it is not."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import grpc
import structlog
from google.rpc.status_pb2 import Status
from grpc.aio import InternalError, ServicerContext

from services.common.rpc.status import DETAILS_KEY, hidden_status, status_code, to_status
from services.core.errors import CrescendoError

logger = structlog.get_logger()


async def abort(
    method: str,
    error: Exception,
    context: ServicerContext[Any, Any],
    *,
    metadata: tuple[tuple[str, str], ...] = (),
) -> None:
    """Ends a call.

    Args:
        method: the RPC's full name, for the log.
        metadata: sent beside the error's details.

    Raises:
        AbortError: always; it is how gRPC ends a handler.
        CancelledError: instead, when the client went away while the status waited behind what it
            had not read.
    """
    code, status = _told(error) if _is_known(error) else _hidden(method, error)
    try:
        await context.abort(
            code,
            status.message,
            trailing_metadata=(*metadata, (DETAILS_KEY, status.SerializeToString())),
        )
    except InternalError as gone:
        raise asyncio.CancelledError from gone


def _is_known(error: Exception) -> bool:
    return isinstance(error, CrescendoError) and type(error) is not CrescendoError


def _told(error: Any) -> tuple[grpc.StatusCode, Status]:
    return status_code(error), to_status(error)


def _hidden(method: str, error: Exception) -> tuple[grpc.StatusCode, Status]:
    # The text of an unexpected error may hold a password or a path: clients get an id to quote.
    error_id = uuid.uuid4().hex[:12]
    logger.error("internal error", rpc=method, error_id=error_id, exc_info=error)
    return grpc.StatusCode.INTERNAL, hidden_status(error_id)
