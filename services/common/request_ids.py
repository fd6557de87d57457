"""Request ids: one name for everything a client's call brings about, from its start to its last event.

A call carries its id in the metadata `x-request-id`. Servers take it over, or make one up, log it with
every line, send it back, and send it on with the calls they make meanwhile.
"""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar

import structlog

HEADER = "x-request-id"

# What fits a log line and a header: no control characters, no other alphabets, not too long.
_USABLE = re.compile(r"[\x20-\x7e]{1,128}")

_current: ContextVar[str] = ContextVar("crescendo_request_id", default="")
_cause: ContextVar[str] = ContextVar("crescendo_cause", default="")


def usable(given: object) -> str | None:
    """Gives a request id that came from outside, if it can be used: 1 to 128 printable ASCII characters."""
    if isinstance(given, str) and _USABLE.fullmatch(given) and given.strip():
        return given
    return None


def make_up() -> str:
    """Makes a request id."""
    return str(uuid.uuid4())


def begin(request_id: str, *, is_cause: bool) -> None:
    """Names what the present task does from here on, in logs and in calls that it makes.

    Args:
        request_id: the id.
        is_cause: whether somebody's request lies behind it, so that events name it. What happens by
            itself (a worker's report, a search's next trials) has an id in logs only.
    """
    _current.set(request_id)
    _cause.set(request_id if is_cause else "")
    structlog.contextvars.bind_contextvars(request_id=request_id)


def current() -> str:
    """Gives the id of the request the present task works on; empty when there is none."""
    return _current.get()


def cause() -> str:
    """Gives the id that events brought about by the present task name; empty for those that come by themselves."""
    return _cause.get()
