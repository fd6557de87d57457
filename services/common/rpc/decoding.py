"""Requests whose bytes are no message: refused in words, where the library would show its own error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from services.core.errors import FieldViolation, InvalidRequest


@dataclass(frozen=True, slots=True)
class _Undecodable:
    """Stands where a message should; deserializers run where no handler can answer."""

    size: int


def decoding(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Makes a deserializer that never raises; `decoded` does, where it is answered."""
    if deserialize is None:
        return None

    def lenient(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception:  # noqa: BLE001 (protobuf's own kinds differ between its implementations)
            return _Undecodable(len(data))

    return lenient


def decoded(request: Any) -> Any:
    """Checks one request, or gives an iterator that checks each of a stream.

    Raises: InvalidRequest: the bytes were no message of the method's type.
    """
    if isinstance(request, _Undecodable):
        raise _refused(request)
    if hasattr(request, "__aiter__"):
        return _decoded_stream(request)
    return request


async def _decoded_stream(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if isinstance(request, _Undecodable):
            raise _refused(request)
        yield request


def _refused(request: _Undecodable) -> InvalidRequest:
    return InvalidRequest(
        [
            FieldViolation(
                field="",
                description=f"the request's {request.size} bytes are no message of this method's"
                " type: encode it by the published protos, text as UTF-8",
            )
        ]
    )
