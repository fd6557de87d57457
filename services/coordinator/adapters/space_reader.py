"""Reads clients' search spaces and distributions, not yet checked: a range may be empty here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from services.common.convert.spaces import (
    conditions_from_proto,
    constraint_from_proto,
    grid_from_message,
)
from services.common.convert.values import json_from_proto, value_from_proto, values_from_proto
from services.core.space import Choices, Fixed, Grid
from services.core.space_request import (
    DistributionRequest,
    ParameterRequest,
    RangeRequest,
    SpaceRequest,
)
from tuning.v1 import search_space_pb2 as pb

_Domain: TypeAlias = RangeRequest | Choices | Grid | Fixed | None


def read_search_space(message: pb.SearchSpace) -> SpaceRequest:
    """Reads a typed space."""
    return SpaceRequest(
        parameters=tuple(_parameter(each) for each in message.parameters),
        constraints=tuple(constraint_from_proto(each) for each in message.constraints),
        alternatives=tuple(read_search_space(each) for each in message.alternatives),
    )


def read_distributions(messages: Mapping[str, pb.Distribution]) -> dict[str, DistributionRequest]:
    """Reads distributions by parameter, names sorted."""
    return {name: _distribution(messages[name]) for name in sorted(messages)}


def _distribution(message: pb.Distribution) -> DistributionRequest:
    given: dict[str, Any] = {
        name: getattr(message, name)
        for name in ("lower", "upper", "step")
        if message.HasField(name)
    }
    if message.HasField("values"):
        given["values"] = [json_from_proto(each) for each in message.values.values]
    return DistributionRequest(type=message.type, **given)


def _parameter(message: pb.Parameter) -> ParameterRequest:
    return ParameterRequest(
        name=message.name,
        domain=_domain(message),
        specials=values_from_proto(message.specials),
        conditions=conditions_from_proto(message),
        choices_log=message.choices.log if message.choices.HasField("log") else None,
    )


def _domain(message: pb.Parameter) -> _Domain:
    match message.WhichOneof("domain"):
        case "float_range":
            return _range(message.float_range, whole=False)
        case "int_range":
            return _range(message.int_range, whole=True)
        case "choices":
            return Choices(values=values_from_proto(message.choices.values))
        case "fixed":
            return Fixed(value=value_from_proto(message.fixed))
        case "grid":
            return grid_from_message(message.grid)
        case _:
            return None


def _range(message: pb.FloatRange | pb.IntRange, *, whole: bool) -> RangeRequest:
    return RangeRequest(
        whole=whole,
        low=message.low,
        high=message.high,
        log=message.log,
        step=message.step if message.HasField("step") else None,
    )
