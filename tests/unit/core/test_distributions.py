"""Distributions of a request: what they become, and what is refused of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidRequest
from services.core.parameter_schema import allows
from services.core.sampling import generator, sample
from services.core.space import (
    Choices,
    Domain,
    FloatRange,
    IntRange,
    SearchSpace,
)
from services.core.space_checks import check_distributions
from services.core.space_request import (
    DISTRIBUTIONS,
    DistributionRequest,
)
from services.core.violations import Violations
from tests.unit.core import strategies
from tests.unit.core.request_schemas import SCHEMAS

_numbers = st.one_of(st.integers(-20, 20), st.floats())


def _distribution(name: str, **given: Any) -> Domain:
    (parameter,) = check_distributions(
        {name: DistributionRequest(**given)},
        SCHEMAS,
        field="d",
    )
    return parameter.domain


def test_distributions_become_domains() -> None:
    assert _distribution("any", type="uniform", lower=-1, upper=2) == FloatRange(low=-1.0, high=2.0)
    assert _distribution("share", type="loguniform", lower=0.01, upper=1) == FloatRange(
        low=0.01, high=1.0, log=True
    )
    assert _distribution("share", type="quniform", lower=0.2, upper=0.8, step=0.2) == FloatRange(
        low=0.2, high=0.8, step=0.2
    )
    assert _distribution("count", type="quniform", lower=10, upper=50, step=10) == IntRange(
        low=10, high=50, step=10
    )
    assert _distribution("count", type="randint", lower=2, upper=20) == IntRange(low=2, high=19)
    assert _distribution("either", type="choice", values=[2.0, 0.5, "sqrt"]) == Choices(
        values=(2, 0.5, "sqrt")
    )


@pytest.mark.parametrize(
    ("name", "given", "path", "text"),
    [
        ("any", {"type": "normal"}, ".type", "known: choice, loguniform"),
        ("any", {"type": "uniform", "lower": 1.0}, ".upper", "is missing"),
        ("any", {"type": "uniform", "lower": 2.0, "upper": 1.0}, ".lower", "not below"),
        ("any", {"type": "loguniform", "lower": 0.0, "upper": 1.0}, ".lower", "no logarithm"),
        ("any", {"type": "quniform", "lower": 0.0, "upper": 1.0}, ".step", "is missing"),
        (
            "any",
            {"type": "quniform", "lower": 0.0, "upper": 1.0, "step": 0.3},
            ".step",
            "does not divide",
        ),
        (
            "any",
            {"type": "uniform", "lower": 0.0, "upper": 1.0, "step": 0.5},
            ".step",
            "no meaning",
        ),
        ("count", {"type": "randint", "lower": 1.5, "upper": 3}, ".lower", "whole number"),
        ("count", {"type": "randint", "lower": 5, "upper": 6}, ".upper", "one value"),
        ("count", {"type": "uniform", "lower": 1.0, "upper": 6.0}, "", "range of ints"),
        ("count", {"type": "choice"}, ".values", "no values"),
        ("count", {"type": "choice", "values": [1.0, 0.5]}, ".values[1]", "not allowed"),
        ("cont", {"type": "choice", "values": [1.0]}, None, 'did you mean "count"?'),
    ],
)
def test_a_distribution_that_cannot_be_drawn_from_is_refused(
    name: str, given: dict[str, object], path: str | None, text: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        _distribution(name, **given)
    (violation,) = raised.value.violations
    assert violation.field == f'd["{name}"]{path or ""}'
    assert text in violation.description


@strategies.few
@given(
    st.sampled_from(sorted(SCHEMAS)),
    st.builds(
        DistributionRequest,
        type=st.sampled_from([*DISTRIBUTIONS, "normal"]),
        lower=st.one_of(st.none(), _numbers),
        upper=st.one_of(st.none(), _numbers),
        step=st.one_of(st.none(), st.sampled_from([1, 2.5, 0.0, math.nan])),
        values=st.one_of(st.none(), st.lists(st.one_of(st.none(), _numbers), max_size=3)),
    ),
    st.integers(0, 100),
)
def test_any_distribution_is_read_or_refused_and_what_is_read_can_be_sampled(
    name: str, distribution: DistributionRequest, seed: int
) -> None:
    found = Violations()
    with found.gathered():
        space = SearchSpace.of(check_distributions({name: distribution}, SCHEMAS, field="d"))
        point = sample(space, generator(seed, 0))
        assert allows(SCHEMAS[name], point[name])
    assert all(each.field.startswith("d[") for each in found.found)
