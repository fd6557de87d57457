"""Texts about names that are not known."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

_MAX_COMPARED = 100


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """Says that a name is unknown, which one may have been meant, and which are known."""
    # Comparing takes time with the length, and what is that long was meant for none of them.
    close = get_close_matches(name, known, n=1) if len(name) <= _MAX_COMPARED else []
    listed = ", ".join(sorted(known)) or "none"
    meant = f'; did you mean "{close[0]}"?' if close else ";"
    name = name if len(name) <= _MAX_COMPARED else name[: _MAX_COMPARED - 1] + "…"
    return f'"{name}" is not a known {kind}{meant} known: {listed}'
