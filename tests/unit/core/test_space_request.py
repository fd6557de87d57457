"""Typed spaces of a request: what they become, and everything that is refused of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidRequest
from services.core.grid import gridded
from services.core.parameter_schema import Floats, Ints, ParameterSchema, allows
from services.core.sampling import generator, sample
from services.core.space import (
    Choices,
    Condition,
    Constraint,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Ordered,
    Parameter,
    SearchSpace,
    SumToOne,
    Value,
    contains,
)
from services.core.space_checks import check_space
from services.core.space_request import (
    ParameterRequest,
    RangeRequest,
    SpaceRequest,
)
from services.core.violations import Violations
from tests.unit.core import strategies
from tests.unit.core.request_schemas import SCHEMAS


def _space(*parameters: ParameterRequest) -> SearchSpace:
    return check_space(SpaceRequest(parameters=parameters), SCHEMAS, field="space")


def _floats(low: float, high: float, **more: Any) -> RangeRequest:
    return RangeRequest(whole=False, low=low, high=high, **more)


def _ints(low: int, high: int, **more: Any) -> RangeRequest:
    return RangeRequest(whole=True, low=low, high=high, **more)


def _problems(*parameters: ParameterRequest) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as raised:
        _space(*parameters)
    return {
        each.field.removeprefix("space.parameters"): each.description
        for each in raised.value.violations
    }


def test_every_kind_of_parameter_is_read() -> None:
    space = _space(
        ParameterRequest(name="share", domain=_floats(0.01, 1.0, log=True)),
        ParameterRequest(name="count", domain=_ints(5, 20, step=5), specials=(None,)),
        ParameterRequest(name="either", domain=Choices(values=(2, 0.5, "sqrt"))),
        ParameterRequest(name="layers", domain=Grid(values=((50,), (100, 50)))),
        ParameterRequest(name="kernel", domain=Fixed(value="rbf")),
    )
    assert space == SearchSpace.of(
        [
            Parameter(name="share", domain=FloatRange(low=0.01, high=1.0, log=True)),
            Parameter(name="count", domain=IntRange(low=5, high=20, step=5), specials=(None,)),
            Parameter(name="either", domain=Choices(values=(2, 0.5, "sqrt"))),
            Parameter(name="layers", domain=Grid(values=((50,), (100, 50)))),
            Parameter(name="kernel", domain=Fixed(value="rbf")),
        ]
    )


def test_everything_wrong_with_a_space_is_told_at_once() -> None:
    problems = _problems(
        ParameterRequest(name="count", domain=_ints(20, 5)),
        ParameterRequest(name="count", domain=_ints(1, 2)),
        ParameterRequest(name="shar", domain=_floats(0.1, 0.2)),
        ParameterRequest(name="share", domain=_floats(0.1, 0.95, step=0.2)),
        ParameterRequest(name="either", domain=Choices(values=(2.0, "sqrt", "sqrt", None))),
        ParameterRequest(name="any", domain=_floats(-1.0, 1.0, log=True)),
        ParameterRequest(name="layers", domain=None),
        ParameterRequest(name="kernel", domain=Grid(values=()), specials=("rbf",)),
    )
    assert set(problems) == {
        "[0].int_range.low",
        "[1].name",
        "[2].name",
        "[3].float_range.step",
        "[4].choices.values[0]",
        "[4].choices.values[2]",
        "[4].choices.values[3]",
        "[5].float_range.low",
        "[6]",
        "[7].grid.values",
        "[7].specials",
    }
    assert problems["[0].int_range.low"].startswith("20 is not below the highest value, 5")
    assert problems["[1].name"] == '"count" repeats the parameter at [0]'
    assert 'did you mean "share"?' in problems["[2].name"]
    assert problems["[3].float_range.step"] == (
        "0.2 does not divide 0.1 to 0.95; end the range at 0.9, or change the step"
    )
    assert problems["[4].choices.values[0]"].endswith("write it as int_value")
    assert "has no logarithm" in problems["[5].float_range.low"]
    assert "set one of float_range" in problems["[6]"]


@pytest.mark.parametrize(
    ("parameter", "path", "text"),
    [
        (("share", _ints(1, 2)), "[0].int_range", "use a range of floats"),
        (("count", _floats(1.0, 2.0)), "[0].float_range", "use a range of ints"),
        (("kernel", _floats(1.0, 2.0)), "[0].float_range", '"linear"'),
        (("share", _floats(0.5, 1.5)), "[0].float_range.high", "1.5 is not allowed"),
        (("share", _floats(0.0, 1.0)), "[0].float_range.low", "above 0"),
        (("any", _floats(0.0, math.inf)), "[0].float_range.high", "not a finite number"),
        (("any", _floats(math.nan, 1.0)), "[0].float_range.low", "not a finite number"),
        (("any", _floats(1.0, 1.0)), "[0].float_range.low", "not below"),
        (("any", _floats(0.0, 1.0, step=0.0)), "[0].float_range.step", "not a positive number"),
        (("any", _floats(0.0, 1.0, step=2.0)), "[0].float_range.step", "does not divide"),
        (("any", _floats(-1e308, 1e308, step=1e-300)), "[0].float_range.step", "2^53"),
        (("count", _ints(1, 10, step=4)), "[0].int_range.step", "end the range at 9"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(
    parameter: tuple[str, RangeRequest], path: str, text: str
) -> None:
    problems = _problems(ParameterRequest(name=parameter[0], domain=parameter[1]))
    assert list(problems) == [path]
    assert text in problems[path]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((-1.0, 10.0), "-1 has no logarithm"),
        ((0.0, 10.0), "0 has no logarithm"),
        (("linear", "rbf"), "two or more numbers"),
        ((1.0, "rbf"), "two or more numbers"),
        ((1, 2.5), "two or more numbers"),
        ((), "two or more numbers"),
    ],
)
def test_a_scale_that_a_list_cannot_have_is_refused_with_the_rest(
    values: tuple[Value, ...], text: str
) -> None:
    problems = _problems(
        ParameterRequest(name="any", domain=Grid(values=values, log=True)),
        ParameterRequest(name="count", domain=_ints(20, 5)),
    )
    assert text in problems["[0].grid.log"]
    assert "[1].int_range.low" in problems


@pytest.mark.parametrize("log", [True, False])
def test_a_scale_of_choices_which_have_none_is_refused_with_the_rest(log: bool) -> None:
    problems = _problems(
        ParameterRequest(name="any", domain=Choices(values=(0.1, 1.0, 1.0)), choices_log=log)
    )
    assert set(problems) == {"[0].choices.log", "[0].choices.values[2]"}
    assert "give the values as a grid" in problems["[0].choices.log"]


def test_a_special_value_inside_its_range_is_refused() -> None:
    problems = _problems(
        ParameterRequest(name="count", domain=_ints(1, 10), specials=(None, 5, None))
    )
    assert set(problems) == {"[0].specials[1]", "[0].specials[2]"}


def _bound(
    *constraints: Constraint | None,
    **parameters: tuple[RangeRequest | Choices, Condition | tuple[Condition, ...] | None],
) -> dict[str, str]:
    request = SpaceRequest(
        parameters=tuple(
            ParameterRequest(
                name=name,
                domain=domain,
                conditions=(given,) if isinstance(given, Condition) else given or (),
            )
            for name, (domain, given) in parameters.items()
        ),
        constraints=constraints,
    )
    schemas = dict.fromkeys(
        parameters,
        ParameterSchema(ints=Ints(low=-100), floats=Floats(), strings=("a", "b"), nullable=True),
    )
    found = Violations()
    with found.gathered():
        check_space(request, schemas, field="space")
    return {each.field.removeprefix("space."): each.description for each in found.found}


_KINDS = Choices(values=("a", "b", 1))


def test_conditions_and_constraints_that_hold_are_accepted() -> None:
    assert not _bound(
        SumToOne(names=("v", "w")),
        Ordered(names=("low", "high")),
        kind=(_KINDS, None),
        x=(_ints(1, 5), Condition(parent="kind", values=("a", 1))),
        y=(_floats(0.0, 1.0), Condition(parent="x", values=(2, 3))),
        v=(_floats(0.0, 0.6), None),
        w=(_floats(0.2, 1.0), None),
        low=(_ints(1, 9), None),
        high=(_floats(1.0, 9.0), None),
    )


def test_contradictory_conditions_are_refused_all_at_once() -> None:
    problems = _bound(
        kind=(_KINDS, None),
        a=(_ints(1, 5), Condition(parent="nothing", values=(1,))),
        b=(_ints(1, 5), Condition(parent="kind", values=(1.0, "c", "a", "a"))),
        c=(_ints(1, 5), Condition(parent="d", values=(1,))),
        d=(_ints(1, 5), Condition(parent="c", values=(1,))),
        e=(_ints(1, 5), Condition(parent="e", values=(1,))),
        f=(_ints(1, 5), Condition(parent="kind", values=())),
        g=(_floats(0.0, 1.0), None),
        h=(_ints(1, 5), Condition(parent="g", values=(0.5,))),
    )
    at = "parameters[{}].condition.{}".format
    assert set(problems) == {
        at(1, "parent"),
        at(2, "values[0]"),
        at(2, "values[1]"),
        at(2, "values[3]"),
        at(3, "parent"),
        at(4, "parent"),
        at(5, "parent"),
        at(6, "values"),
        at(8, "values[0]"),
    }
    assert "contradicts the space" in problems[at(2, "values[0]")]
    assert "c → d → c" in problems[at(3, "parent")]
    assert "e → e" in problems[at(5, "parent")]


def test_conditions_on_several_parents_are_checked_one_by_one() -> None:
    kind = Condition(parent="kind", values=("a",))
    problems = _bound(
        kind=(_KINDS, None),
        x=(_ints(1, 5), None),
        y=(_ints(1, 5), (kind, Condition(parent="x", values=(1, 9)))),
        z=(_ints(1, 5), (kind, Condition(parent="kind", values=("b",)))),
        u=(_ints(1, 5), (kind, Condition(parent="v", values=(1,)))),
        v=(_ints(1, 5), (Condition(parent="x", values=(1,)), Condition(parent="u", values=(1,)))),
    )
    assert set(problems) == {
        "parameters[2].further_conditions[0].values[1]",
        "parameters[3].further_conditions[0].parent",
        "parameters[4].further_conditions[0].parent",
        "parameters[5].further_conditions[0].parent",
    }
    assert "u → v → u" in problems["parameters[4].further_conditions[0].parent"]


def test_webs_too_large_to_count_are_refused() -> None:
    parents = {f"p{n}": (_ints(1, 5), None) for n in range(8)}
    child = tuple(Condition(parent=name, values=(1, 2, 3, 4)) for name in parents)
    problems = _bound(**parents, child=(_ints(1, 5), child))
    assert "390,625 combinations" in problems["parameters"]


def test_constraints_that_cannot_hold_are_refused_all_at_once() -> None:
    problems = _bound(
        SumToOne(names=("v", "w")),
        SumToOne(names=("kind", "stepped")),
        Ordered(names=("high", "low")),
        Ordered(names=("v", "missing")),
        Ordered(names=("alone",)),
        Ordered(names=("child", "wide")),
        None,
        kind=(_KINDS, None),
        v=(_floats(0.0, 0.4), None),
        w=(_floats(0.0, 0.4), None),
        stepped=(_floats(0.0, 1.0, step=0.5), None),
        low=(_ints(1, 3), None),
        high=(_ints(4, 9), None),
        alone=(_ints(4, 9), None),
        wide=(_ints(1, 9), None),
        child=(_ints(1, 9), Condition(parent="kind", values=("a",))),
    )
    assert set(problems) == {
        "constraints[0].sum_to_one",
        "constraints[1].sum_to_one.names[0]",
        "constraints[1].sum_to_one.names[1]",
        "constraints[2].ordered",
        "constraints[3].ordered.names[0]",
        "constraints[3].ordered.names[1]",
        "constraints[4].ordered.names",
        "constraints[5].ordered.names[0]",
        "constraints[6]",
    }
    assert "the highest to 0.8" in problems["constraints[0].sum_to_one"]
    assert "list of values" in problems["constraints[1].sum_to_one.names[0]"]
    assert "always active" in problems["constraints[5].ordered.names[0]"]


def test_groups_too_large_to_count_are_refused() -> None:
    problems = _bound(Ordered(names=("a", "b")), a=(_ints(1, 1000), None), b=(_ints(1, 1000), None))
    assert "1,000,000 combinations" in problems["constraints[0].ordered"]


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="is empty"):
        _space()


_ranges = st.one_of(
    st.builds(
        RangeRequest,
        whole=st.just(value=False),
        low=st.floats(),
        high=st.floats(),
        log=st.booleans(),
        step=st.one_of(st.none(), st.floats()),
    ),
    st.builds(
        RangeRequest,
        whole=st.just(value=True),
        low=st.integers(-5, 20),
        high=st.integers(-5, 40),
        log=st.booleans(),
        step=st.one_of(st.none(), st.integers(-1, 5)),
    ),
)
_lists = strategies.value_lists(0)


@strategies.few
@given(
    st.lists(
        st.builds(
            ParameterRequest,
            name=st.sampled_from([*SCHEMAS, "other"]),
            domain=st.one_of(
                st.none(),
                _ranges,
                st.builds(Choices, values=_lists),
                st.builds(Grid, values=_lists),
            ),
            specials=st.sampled_from([(), (None,), ("sqrt",), (1, 1)]),
        ),
        max_size=3,
    ),
    st.integers(0, 100),
)
def test_any_space_is_read_or_refused_and_what_is_read_can_be_sampled(
    parameters: list[ParameterRequest], seed: int
) -> None:
    found = Violations()
    space = None
    with found.gathered():
        space = _space(*parameters)
    if space is None:
        assert all(each.field.startswith("space.parameters") for each in found.found)
        return
    point = sample(space, generator(seed, 0))
    assert contains(space, point)
    assert all(allows(SCHEMAS[name], value) for name, value in point.items())
    assert contains(space, sample(gridded(space, 3), generator(seed, 1)))
