"""What a search may try beside a grid: distributions, and typed spaces in their JSON form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf.json_format import ParseDict, ParseError

from crescendo.client.errors import InvalidRequest, Violation
from crescendo.client.requests import optional_fields
from crescendo.client.values import GivenValue, list_value
from tuning.v1 import search_space_pb2 as space_pb

GivenSpace: TypeAlias = space_pb.SearchSpace | Mapping[str, Any]
"""A typed space: its message, or the message's JSON form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How one parameter's values are spread; made by the functions below."""

    type: str
    lower: float | None = None
    upper: float | None = None
    step: float | None = None
    values: Sequence[GivenValue] | None = None


def uniform(lower: float, upper: float) -> Distribution:
    """Floats from `lower` to `upper`."""
    return Distribution(type="uniform", lower=lower, upper=upper)


def loguniform(lower: float, upper: float) -> Distribution:
    """Floats from `lower`, above 0, to `upper` on a logarithmic scale."""
    return Distribution(type="loguniform", lower=lower, upper=upper)


def quniform(lower: float, upper: float, step: float) -> Distribution:
    """Every `step` from `lower` to `upper`; whole numbers where the parameter takes no fractions."""
    return Distribution(type="quniform", lower=lower, upper=upper, step=step)


def randint(lower: int, upper: int) -> Distribution:
    """Whole numbers from `lower` up to, not including, `upper`."""
    return Distribution(type="randint", lower=lower, upper=upper)


def choice(values: Sequence[GivenValue]) -> Distribution:
    """Any of the values."""
    return Distribution(type="choice", values=values)


def distributions_to_proto(
    distributions: Mapping[str, Distribution] | None,
) -> dict[str, space_pb.Distribution]:
    """Makes the messages of distributions by parameter."""
    return {name: _to_proto(each) for name, each in (distributions or {}).items()}


def space_to_proto(space: GivenSpace) -> space_pb.SearchSpace:
    """Makes the message of a typed space.

    Raises:
        InvalidRequest: the JSON form is that of no SearchSpace.
    """
    if isinstance(space, space_pb.SearchSpace):
        return space
    try:
        return ParseDict(dict(space), space_pb.SearchSpace())
    except ParseError as error:
        text = (
            f"is not the JSON form of a SearchSpace ({error}); write for example"
            ' {"parameters": [{"name": "C", "float_range": {"low": 0.01, "high": 100, "log": true}}]}'
        )
        violation = Violation(field="search_space", description=text)
        raise InvalidRequest(
            str(violation), reason="INVALID_REQUEST", violations=(violation,)
        ) from error


def _to_proto(distribution: Distribution) -> space_pb.Distribution:
    given = distribution.values
    return space_pb.Distribution(
        type=distribution.type,
        values=None if given is None else list_value(given),
        **optional_fields(
            lower=distribution.lower, upper=distribution.upper, step=distribution.step
        ),
    )
