"""Collecting everything wrong with a request before refusing it once."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from services.core.errors import FieldViolation, InvalidRequest

MAX_VIOLATIONS: Final = 1_000
"""Nobody reads more, and a request of a hundred thousand mistakes must not keep others waiting."""


NO_NUL: Final = "holds a NUL character, which no database keeps in text; leave it out"
"""What is wrong with such a text."""


class Violations:
    """Gathers violations from many checks; gives up at `MAX_VIOLATIONS`.

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
        """Adds one violation. Raises: InvalidRequest: there are so many that the rest is left."""
        self._found.append(FieldViolation(field=field, description=description))
        if len(self._found) >= MAX_VIOLATIONS:
            raise InvalidRequest(self._found)

    def gathered(self) -> _Gathering:
        """Takes over the violations of an InvalidRequest raised inside; other errors pass.

        What the block would have assigned is then unset: raise before using it. At `MAX_VIOLATIONS` the
        block's end raises as `add` does.
        """
        return _Gathering(self._found)

    def raise_if_any(self) -> None:
        """Raises: InvalidRequest: something was found; it lists all of it."""
        if self._found:
            raise InvalidRequest(self._found)


class _Gathering:
    # A class, since a generator's context manager does not tell type checkers that it may swallow.

    def __init__(self, found: list[FieldViolation]) -> None:
        self._found = found

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(raised, InvalidRequest):
            return False
        if len(self._found) < MAX_VIOLATIONS:
            self._found.extend(raised.violations)
        if len(self._found) >= MAX_VIOLATIONS:
            raise InvalidRequest(self._found) from raised
        return True
