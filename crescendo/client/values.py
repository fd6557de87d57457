"""Parameter values between Python and the wire; 1, 1.0, True and "1" stay four different values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct
from google.protobuf.struct_pb2 import Value as JsonValue

from crescendo.client.errors import InvalidRequest, Violation
from tuning.v1 import search_space_pb2 as space_pb

Scalar: TypeAlias = None | bool | int | float | str
Value: TypeAlias = Scalar | tuple[Scalar, ...]
# What people hand in: lists are as good as tuples.
GivenValue: TypeAlias = Scalar | Sequence[Scalar]
Parameters: TypeAlias = Mapping[str, GivenValue]
Grid: TypeAlias = Mapping[str, Sequence[GivenValue]]
# One grid, or several that are searched together, as GridSearchCV takes them.
Grids: TypeAlias = Grid | Sequence[Grid]

# Where a parameter takes counts and fractions, 1 and 1.0 are two values, and one number in JSON.
_FLOAT, _INT = "float_value", "int_value"
# Beyond this a JSON number loses its last digits.
_LARGEST_JSON_INT = 2**53


def value_from_proto(message: space_pb.ParameterValue) -> Value:
    """Gives the Python value of a typed one; tuples become tuples."""
    kind = message.WhichOneof("kind")
    if kind == "tuple_value":
        return tuple(_scalar(each) for each in message.tuple_value.items)
    return _scalar(message)


def parameters_from_proto(message: space_pb.Assignment) -> dict[str, Value]:
    """Gives an assignment as a dict, sorted by name."""
    return {name: value_from_proto(message.values[name]) for name in sorted(message.values)}


def json_value(value: GivenValue) -> JsonValue:
    """Makes the JSON form of a value; the server turns it into the type its parameter has.

    Raises:
        InvalidRequest: a whole number is too large for JSON, or the type is none a parameter can have.
    """
    if value is None:
        return JsonValue(null_value=NULL_VALUE)
    if isinstance(value, bool):
        return JsonValue(bool_value=value)
    if isinstance(value, int):
        if abs(value) > _LARGEST_JSON_INT:
            raise _bad_value(f"{value} is too large: whole numbers go up to 2^53")
        return JsonValue(number_value=float(value))
    if isinstance(value, float):
        number = JsonValue(number_value=value)
        return _told(_FLOAT, number) if value.is_integer() else number
    if isinstance(value, str):
        return JsonValue(string_value=value)
    if isinstance(value, Sequence):
        return JsonValue(list_value=ListValue(values=[_item(each) for each in value]))
    raise _bad_value(
        f"{value!r} is a {type(value).__name__}; a parameter's value is None, a bool, an int, a"
        " float, a str or a tuple of these"
    )


def list_value(values: Sequence[GivenValue]) -> ListValue:
    """Makes the JSON form of a list of values.

    An int among floats says that it is one: the server takes a bare 1 among fractions for one of them.
    """
    floats = any(isinstance(each, float) for each in values)
    listed = [json_value(each) for each in values]
    return ListValue(
        values=[
            _told(_INT, message) if floats and type(each) is int else message
            for each, message in zip(values, listed, strict=True)
        ]
    )


def grid_to_proto(grid: Grids | None) -> dict[str, ListValue]:
    """Makes the JSON form of a grid, parameter → values; of a list of grids it is empty."""
    if not isinstance(grid, Mapping):
        return {}
    return {name: list_value(values) for name, values in grid.items()}


def grid_list_to_proto(grid: Grids | None) -> list[space_pb.ParamGrid]:
    """Makes the messages of a list of grids; of a single grid there are none."""
    if grid is None or isinstance(grid, Mapping):
        return []
    return [space_pb.ParamGrid(values=grid_to_proto(each)) for each in grid]


def grids_to_structs(grids: Mapping[str, Grids] | None) -> dict[str, Struct]:
    """Makes the JSON form of single grids by model run; lists of grids are left out."""
    return {
        run: Struct(
            fields={name: JsonValue(list_value=list_value(each)) for name, each in grid.items()}
        )
        for run, grid in (grids or {}).items()
        if isinstance(grid, Mapping)
    }


def grid_lists_to_proto(grids: Mapping[str, Grids] | None) -> dict[str, space_pb.ParamGridList]:
    """Makes the messages of lists of grids by model run; single grids are left out."""
    return {
        run: space_pb.ParamGridList(grids=grid_list_to_proto(grid))
        for run, grid in (grids or {}).items()
        if not isinstance(grid, Mapping)
    }


def python_value(message: JsonValue) -> Value:
    """Gives the Python value of a JSON one; whole numbers become ints unless they say that they are floats."""
    kind = message.WhichOneof("kind")
    if kind == "struct_value" and _FLOAT in message.struct_value.fields:
        return message.struct_value.fields[_FLOAT].number_value
    if kind == "list_value":
        return tuple(_json_scalar(each) for each in message.list_value.values)
    return _json_scalar(message)


def _told(kind: str, number: JsonValue) -> JsonValue:
    return JsonValue(struct_value=Struct(fields={kind: number}))


def _item(value: Scalar) -> JsonValue:
    # All items of a tuple are of the one kind that its parameter takes.
    return JsonValue(number_value=value) if isinstance(value, float) else json_value(value)


def _bad_value(text: str) -> InvalidRequest:
    violation = Violation(field="", description=text)
    return InvalidRequest(text, reason="BAD_VALUE", violations=(violation,))


def _json_scalar(message: JsonValue) -> Scalar:
    kind = message.WhichOneof("kind")
    if kind == "bool_value":
        return message.bool_value
    if kind == "string_value":
        return message.string_value
    if kind == "number_value":
        number = message.number_value
        return int(number) if number.is_integer() else number
    return None


def _scalar(message: space_pb.ParameterValue) -> Scalar:
    match message.WhichOneof("kind"):
        case "bool_value":
            return message.bool_value
        case "int_value":
            return message.int_value
        case "float_value":
            return message.float_value
        case "string_value":
            return message.string_value
        case _:
            return None
