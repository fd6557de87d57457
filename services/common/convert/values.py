"""Typed parameter values and JSON values, to and from protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf import struct_pb2
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct

from services.core.space import Assignment, Scalar, Value
from tuning.v1 import search_space_pb2 as pb

JsonScalar = None | bool | float | str
JsonValue = JsonScalar | list["JsonValue"] | dict[str, "JsonValue"]


def value_to_proto(value: Value) -> pb.ParameterValue:
    """Encodes one value with its type."""
    if value is None:
        return pb.ParameterValue(null_value=NULL_VALUE)
    # bool before int: True is an int to Python, and a different value to a search.
    if isinstance(value, bool):
        return pb.ParameterValue(bool_value=value)
    if isinstance(value, int):
        return pb.ParameterValue(int_value=value)
    if isinstance(value, float):
        return pb.ParameterValue(float_value=value)
    if isinstance(value, str):
        return pb.ParameterValue(string_value=value)
    return pb.ParameterValue(
        tuple_value=pb.ParameterTuple(items=[value_to_proto(each) for each in value])
    )


def value_from_proto(message: pb.ParameterValue) -> Value:
    """Decodes one value; a message without a kind is null."""
    kind = message.WhichOneof("kind")
    if kind == "tuple_value":
        return tuple(_scalar_from_proto(each) for each in message.tuple_value.items)
    return _scalar_from_proto(message)


def _scalar_from_proto(message: pb.ParameterValue) -> Scalar:
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


def values_to_proto(values: Sequence[Value]) -> list[pb.ParameterValue]:
    """Encodes values in order."""
    return [value_to_proto(each) for each in values]


def values_from_proto(messages: Sequence[pb.ParameterValue]) -> tuple[Value, ...]:
    """Decodes values in order."""
    return tuple(value_from_proto(each) for each in messages)


def assignment_to_proto(assignment: Assignment) -> pb.Assignment:
    """Encodes a point."""
    return pb.Assignment(values={name: value_to_proto(each) for name, each in assignment.items()})


def assignment_from_proto(message: pb.Assignment) -> dict[str, Value]:
    """Decodes a point, names sorted (protobuf maps have no order)."""
    return {name: value_from_proto(message.values[name]) for name in sorted(message.values)}


def json_from_proto(message: struct_pb2.Value) -> JsonValue:
    """Decodes a JSON value as a person wrote it: every number is a float."""
    match message.WhichOneof("kind"):
        case "bool_value":
            return message.bool_value
        case "number_value":
            return message.number_value
        case "string_value":
            return message.string_value
        case "list_value":
            return [json_from_proto(each) for each in message.list_value.values]
        case "struct_value":
            return {
                name: json_from_proto(each) for name, each in message.struct_value.fields.items()
            }
        case _:
            return None


def json_to_proto(value: object) -> struct_pb2.Value:
    """Encodes a parameter value or JSON value as google.protobuf.Value.

    Raises: TypeError: the value has no JSON form.
    """
    if value is None:
        return struct_pb2.Value(null_value=NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, list | tuple):
        return struct_pb2.Value(
            list_value=ListValue(values=[json_to_proto(each) for each in value])
        )
    if isinstance(value, dict):
        fields = {str(name): json_to_proto(each) for name, each in value.items()}
        return struct_pb2.Value(struct_value=Struct(fields=fields))
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def grid_from_proto(grid: Mapping[str, ListValue]) -> dict[str, list[JsonValue]]:
    """Decodes `map<string, ListValue>`: parameter name → values as JSON."""
    return {name: [json_from_proto(each) for each in grid[name].values] for name in sorted(grid)}


def grids_from_proto(grids: Mapping[str, Struct]) -> dict[str, dict[str, JsonValue]]:
    """Decodes `map<string, Struct>`: model run id → parameter name → JSON, not yet checked to be lists."""
    return {
        run: {name: json_from_proto(each) for name, each in sorted(grids[run].fields.items())}
        for run in sorted(grids)
    }
