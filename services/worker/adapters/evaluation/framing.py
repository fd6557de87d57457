"""Messages over pipes: four bytes of length, most significant first, then the message."""

from __future__ import annotations

import asyncio
import struct
from typing import BinaryIO

_LENGTH = struct.Struct(">I")

# Far above any answer; a longer one means that the other side is not talking to us.
MAX_FRAME_BYTES = 4 * 1024 * 1024


class FrameTooLarge(ValueError):
    """A frame announces more bytes than any message has."""


def frame(message: bytes) -> bytes:
    """Puts a message behind its length."""
    return _LENGTH.pack(len(message)) + message


def read_frame(source: BinaryIO) -> bytes | None:
    """Reads one message from a blocking file.

    Returns: None at the end of the file, in the middle of a message too.
    Raises: FrameTooLarge: the length is beyond `MAX_FRAME_BYTES`.
    """
    header = source.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    length = _checked(header)
    message = source.read(length)
    return message if len(message) == length else None


async def receive_frame(source: asyncio.StreamReader) -> bytes | None:
    """Reads one message from a stream; as `read_frame`."""
    try:
        return await source.readexactly(_checked(await source.readexactly(_LENGTH.size)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _checked(header: bytes) -> int:
    length: int = _LENGTH.unpack(header)[0]
    if length > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are allowed")
    return length
