"""Texts about names that are not known."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """Says that a name is unknown, which one may have been meant, and which are known."""
    close = get_close_matches(name, known, n=1)
    listed = ", ".join(sorted(known)) or "none"
    meant = f'; did you mean "{close[0]}"?' if close else ";"
    return f'"{name}" is not a known {kind}{meant} known: {listed}'
