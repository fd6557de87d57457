"""Keeping secrets out of everything that leaves the process: logs, error texts, events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_HIDDEN = "***"

# A token alone is also what parsers speak of: it must be one to get in with.
_NAME_OF_ONE = r"(?:password|passwd|pgpass|secret|api_?key|access_?key|(?:auth|access|api|bearer|refresh)_?token)"

# Every repetition below is bounded: a megabyte of letters would otherwise be read again from each of them.
# user:password@ in a URL. A password may hold '/', ':' and '@' that nobody quoted: the last '@' before a
# blank or quote counts, where a host follows.
_URL = re.compile(
    r"(?P<start>[a-z][a-z0-9+.-]{0,30}://[^\s:/@'\"]{0,200}:)(?P<secret>[^\s'\"]{1,500})(?=@)",
    re.IGNORECASE,
)
# password=…, as in Postgres' own DSNs, environments, queries of URLs, JSON and representations.
_PAIR = re.compile(
    rf"(?P<start>\b\w{{0,40}}{_NAME_OF_ONE}['\"]?\s{{0,9}}[=:]\s{{0,9}})"
    r"(?P<secret>'(?:\\.|[^'\\]){0,500}'|\"(?:\\.|[^\"\\]){0,500}\"|[^\s,;&'\"})\]]{1,500})",
    re.IGNORECASE,
)
_BEARER = re.compile(
    r"(?P<start>\b(?:bearer|basic)\s{1,9})(?P<secret>[A-Za-z0-9._~+/=-]{8,2000})", re.IGNORECASE
)
# What must stand in a text for its pattern to find anything.
_PATTERNS = (
    (("://",), _URL),
    (("password", "passwd", "pgpass", "secret", "key", "token"), _PAIR),
    (("bearer", "basic"), _BEARER),
)
_NAMES = re.compile(rf"{_NAME_OF_ONE}|authorization", re.IGNORECASE)
_MAX_DEPTH = 6


def redact(text: str) -> str:
    """Replaces passwords by `***`: in URLs, in `password=…` of any spelling, and after `Bearer`."""
    # Nearly all texts hold none, and looking for words is a hundred times faster than for patterns.
    lowered = text.lower()
    for words, pattern in _PATTERNS:
        if any(word in lowered for word in words):
            text = pattern.sub(rf"\g<start>{_HIDDEN}", text)
    return text


def redact_value(value: Any, *, depth: int = 0) -> Any:
    """Redacts a value of a log line, whatever it is made of; what is no plain data becomes its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if depth >= _MAX_DEPTH:
        return redact(repr(value))
    if isinstance(value, Mapping):
        return {
            str(key): _HIDDEN
            if isinstance(key, str) and _NAMES.search(key)
            else redact_value(each, depth=depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(each, depth=depth + 1) for each in value]
    return redact(str(value) if isinstance(value, BaseException) else repr(value))
