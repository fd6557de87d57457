"""What went wrong in an evaluation, as a kind and a sentence that gives nothing away."""

from __future__ import annotations

import re
import resource

from sklearn.utils._param_validation import InvalidParameterError

from services.common.telemetry import redact
from services.core.trial import Failure, FailureKind

MAX_MESSAGE_BYTES = 4096
_READ_CHARACTERS = 1 << 20

_PATH = re.compile(r"(?<![\w.:/])/(?:[\w.@+-]+/)+([\w.@+-]+)")


def failure_of(error: Exception) -> Failure:
    """Tells a failure's kind by its exception."""
    if isinstance(error, MemoryError):
        return Failure(kind=FailureKind.OOM, message=clip(f"out of memory{_limit()}: {error}"))
    if isinstance(error, InvalidParameterError):
        return refusal_of(error)
    return Failure(kind=FailureKind.EXCEPTION, message=clip(f"{type(error).__name__}: {error}"))


def refusal_of(error: Exception) -> Failure:
    """Tells parameters an estimator does not take, in its own words."""
    return Failure(kind=FailureKind.INVALID_PARAMETERS, message=clip(str(error)))


def _limit() -> str:
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return "" if soft == resource.RLIM_INFINITY else f" (the limit is {soft // 2**20} MiB)"


def clip(text: str) -> str:
    """Takes paths and passwords out of a text and bounds it to 4 KiB."""
    clean = _PATH.sub(r"\1", redact(text[:_READ_CHARACTERS]))
    encoded = clean.encode(errors="replace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return clean
    return encoded[: MAX_MESSAGE_BYTES - 3].decode(errors="ignore") + "…"
