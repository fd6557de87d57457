"""Requests of very many parts: refused before each of them is read, which would take seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import Message

from services.core.errors import FieldViolation, InvalidRequest

MAX_PARTS: Final = 20_000
"""Parameters, conditions, constraints, grids, points and stages of a request together."""

# Single values, of which lists may be long.
_VALUES: Final = frozenset({"google.protobuf.Value", "tuning.v1.ParameterValue"})


def refuse_crowds(request: Message) -> None:
    """Checks how many parts a request has, in as many steps as it may have parts.

    Raises: InvalidRequest: it has more; the field where they come to be too many is named.
    """
    count = 0
    waiting = [("", request)]
    while waiting:
        path, message = waiting.pop()
        for field, members in _parts_of(message):
            count += len(members)
            if count > MAX_PARTS:
                where = f"{path}.{field}" if path else field
                raise InvalidRequest(
                    [
                        FieldViolation(
                            field=where,
                            description=f"has {len(members):,} members, with which the request has more"
                            f" than {MAX_PARTS:,} parts (parameters, conditions, grids, points, stages);"
                            " ask for less",
                        )
                    ]
                )
            waiting += ((f"{path}.{field}" if path else field, each) for each in members)


def _parts_of(message: Message) -> Iterator[tuple[str, Any]]:
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is None:
            continue
        is_map = kind.GetOptions().map_entry
        if is_map:
            kind = kind.fields_by_name["value"].message_type
            if kind is None:
                continue
        if kind.full_name in _VALUES:
            continue
        if is_map:
            yield field.name, list(value.values())
        else:
            yield field.name, value if field.is_repeated else [value]
