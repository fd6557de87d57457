"""A guard of the store: what it is, how it is removed, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass

SERVICE = "services/store/service"
SQL = "services/store/sql/queries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One guard to remove.

    Attributes:
        guard: what it keeps from happening.
        file: where it stands.
        old: its text, which stands there exactly once.
        new: what stands there without it.
        tests: files or tests below tests/integration/store, at least one of which must fail.
    """

    guard: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
