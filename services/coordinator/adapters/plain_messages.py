"""Messages as plain values that are the same whatever order a client wrote them in, to be hashed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_Plain: TypeAlias = dict[str, Any]


def plain_message(message: Message) -> dict[str, Any]:
    """Gives the fields that are set, by name, as values that JSON can hold.

    Parameters of a search space, their conditions, constraints and weights that sum to one stand in an
    order of their own, for their order means nothing; that of values and alternatives is kept, for
    searches follow it. Typed values stay apart: 1, 1.0 and true are set in different fields.
    """
    # protobuf's own JSON refuses NaN, and its binary form has no promised order of map entries.
    plain = {field.name: _plain_field(field, value) for field, value in message.ListFields()}
    ordered = _ORDERED.get(message.DESCRIPTOR.full_name)
    return plain if ordered is None else ordered(plain)


def _plain_field(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _plain_single(inner, value[key]) for key in value}
    if field.is_repeated:
        return [_plain_single(field, each) for each in value]
    return _plain_single(field, value)


def _plain_single(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return plain_message(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _space(plain: _Plain) -> _Plain:
    lists = {name: _sorted(plain[name]) for name in ("parameters", "constraints") if name in plain}
    return plain | lists


def _parameter(plain: _Plain) -> _Plain:
    first = [plain["condition"]] if "condition" in plain else []
    conditions = _sorted([*first, *plain.get("further_conditions", [])])
    # Whether it is a step follows from its name, whatever a client says.
    ignored = ("condition", "further_conditions", "is_step")
    rest = {name: value for name, value in plain.items() if name not in ignored}
    return rest | ({"conditions": conditions} if conditions else {})


def _condition(plain: _Plain) -> _Plain:
    return plain | {"values": _sorted(plain.get("values", []))}


def _constraint(plain: _Plain) -> _Plain:
    group = plain.get("sum_to_one")
    if group is None:
        return plain
    return plain | {"sum_to_one": {"names": sorted(group.get("names", []))}}


def _sorted(values: list[Any]) -> list[Any]:
    return sorted(values, key=lambda each: json.dumps(each, sort_keys=True))


_ORDERED: Final[Mapping[str, Callable[[_Plain], _Plain]]] = MappingProxyType(
    {
        "tuning.v1.SearchSpace": _space,
        "tuning.v1.Parameter": _parameter,
        "tuning.v1.Condition": _condition,
        "tuning.v1.Constraint": _constraint,
    }
)
