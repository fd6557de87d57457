"""What went wrong in an evaluation, as a kind and a sentence that gives nothing away."""

from __future__ import annotations

import re

from sklearn.utils._param_validation import InvalidParameterError

from services.common.telemetry import redact
from services.core.trial import Failure, FailureKind

MAX_MESSAGE_BYTES = 4096

_PATH = re.compile(r"(?<![\w.:/])/(?:[\w.@+-]+/)+([\w.@+-]+)")


def failure_of(error: Exception) -> Failure:
    """Tells a failure's kind by its exception."""
    if isinstance(error, MemoryError):
        return Failure(kind=FailureKind.OOM, message=clip(f"out of memory: {error}"))
    if isinstance(error, InvalidParameterError):
        return Failure(kind=FailureKind.INVALID_PARAMETERS, message=clip(str(error)))
    return Failure(kind=FailureKind.EXCEPTION, message=clip(f"{type(error).__name__}: {error}"))


def clip(text: str) -> str:
    """Takes paths and passwords out of a text and bounds it to 4 KiB."""
    clean = _PATH.sub(r"\1", redact(text))
    encoded = clean.encode(errors="replace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return clean
    return encoded[: MAX_MESSAGE_BYTES - 3].decode(errors="ignore") + "…"
