"""Collecting everything wrong with a request before refusing it once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.core.errors import FieldViolation, InvalidRequest


class Violations:
    """Gathers violations from many checks.

    Example:
        found = Violations()
        with found.gathered():
            space = parse_param_grid(grid, schemas, field="initial_param_grid")
        if cv_folds < 2:
            found.add("cv_folds", f"{cv_folds} is below 2")
        found.raise_if_any()
    """

    def __init__(self) -> None:
        self._found: list[FieldViolation] = []

    @property
    def found(self) -> tuple[FieldViolation, ...]:
        """What was found so far, in order."""
        return tuple(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, field: str, description: str) -> None:
        """Adds one violation."""
        self._found.append(FieldViolation(field=field, description=description))

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Takes over the violations of an InvalidRequest raised inside; other errors pass."""
        try:
            yield
        except InvalidRequest as refusal:
            self._found.extend(refusal.violations)

    def raise_if_any(self) -> None:
        """Raises: InvalidRequest: something was found; it lists all of it."""
        if self._found:
            raise InvalidRequest(self._found)
