"""Spaces and requests made to be slow to look at: refused by their number, or counted at once."""

from __future__ import annotations

import pytest

from services.core.binding_checks import check_group_grids
from services.core.counting import cardinality, point_at_index
from services.core.errors import InvalidRequest
from services.core.parameter_schema import Floats, Ints, ParameterSchema, shown_values
from services.core.space import (
    Choices,
    Condition,
    FloatRange,
    IntRange,
    Ordered,
    Parameter,
    SearchSpace,
)
from services.core.space_checks import check_space
from services.core.space_request import ParameterRequest, SpaceRequest
from services.core.violations import MAX_VIOLATIONS, Violations

_ANY = ParameterSchema(ints=Ints(low=0), floats=Floats(), strings=("a", "b"))


def _problems(*parameters: ParameterRequest) -> dict[str, str]:
    schemas = {each.name: _ANY for each in parameters}
    with pytest.raises(InvalidRequest) as raised:
        check_space(SpaceRequest(parameters=parameters), schemas, field="space")
    return {each.field: each.description for each in raised.value.violations}


def test_a_chain_of_conditions_is_counted_one_link_at_a_time() -> None:
    def link(place: int) -> Parameter:
        above = Condition(parent=f"p{place - 1:02}", values=("a", "b"))
        return Parameter(
            name=f"p{place:02}",
            domain=Choices(values=("a", "b")),
            conditions=(above,) if place else (),
        )

    chain = SearchSpace.of([link(place) for place in range(60)])
    assert cardinality(chain) == 2**60
    assert set(point_at_index(chain, 0).values()) == {"a"}
    assert set(point_at_index(chain, 2**60 - 1).values()) == {"b"}


def test_very_many_conditions_are_refused_by_their_number() -> None:
    kinds = ParameterRequest(name="kind", domain=Choices(values=("a", "b")))
    again = (Condition(parent="kind", values=("a",)),) * 100_000
    child = ParameterRequest(name="child", domain=Choices(values=("a", "b")), conditions=again)
    found = _problems(kinds, child)
    assert list(found) == ["space.parameters"]
    assert "100,000 conditions, above the limit of 1,000" in found["space.parameters"]


def test_conditions_on_very_many_values_are_refused_by_the_work_they_make() -> None:
    many = tuple(range(50_000))
    parent = ParameterRequest(name="parent", domain=Choices(values=many))
    child = ParameterRequest(
        name="child",
        domain=Choices(values=("a", "b")),
        conditions=(Condition(parent="parent", values=many),),
    )
    found = _problems(parent, child)
    assert list(found) == ["space.parameters[1].condition.values"]
    assert "2,500,000,000 comparisons, above the limit of 1,000,000" in found.popitem()[1]


@pytest.mark.parametrize(
    "fine", [FloatRange(low=0.0, high=1.0, step=1e-9), IntRange(low=0, high=2_000_000_000, step=2)]
)
def test_a_grid_of_a_fine_lattice_under_a_constraint_is_refused_without_building_it(
    fine: FloatRange | IntRange,
) -> None:
    space = SearchSpace.of(
        [
            Parameter(name="fine", domain=fine),
            Parameter(name="wide", domain=FloatRange(low=0.0, high=1.0)),
        ],
        [Ordered(names=("fine", "wide"))],
    )
    found = Violations()
    check_group_grids(found, "grid_resolution", space, 5)
    (problem,) = found.found
    assert problem.field == "grid_resolution"
    assert "1,000,000,001 of fine, 5 of wide, make 5,000,000,005" in problem.description


def test_mistakes_beyond_what_anybody_reads_are_not_looked_for() -> None:
    looked_at = 0
    found = Violations()
    with pytest.raises(InvalidRequest) as raised:
        for place in range(100_000):
            looked_at += 1
            with found.gathered():
                inside = Violations()
                inside.add(f"points[{place}]", "is wrong")
                inside.raise_if_any()
    assert looked_at == len(raised.value.violations) == MAX_VIOLATIONS
    with pytest.raises(InvalidRequest) as raised:
        found.add("one more", "is wrong")
    assert raised.value.violations[-1].field == "one more"


def test_long_lists_are_shown_by_their_ends() -> None:
    assert shown_values([1, 0.5, "a", None]) == '1, 0.5, "a", null'
    shown = shown_values(list(range(100_000)))
    assert shown.startswith("0, 1, 2, ")
    assert shown.endswith("18, … 100,000 values up to 99999")
