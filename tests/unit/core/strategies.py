"""Hypothesis strategies for search spaces and the trials made of their points."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st

from services.core.sampling import generator, sample
from services.core.space import (
    Assignment,
    Choices,
    Condition,
    Domain,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Ordered,
    Parameter,
    SearchSpace,
    SumToOne,
    Value,
    parameter_size,
    value_at,
)
from services.core.trial import Trial, TrialState

few = settings(max_examples=30, deadline=None)
"""Settings of tests whose every example is costly; machines that run tests are busy."""

_words = st.text(alphabet="abcdef", min_size=1, max_size=3)
_floats = st.floats(-1e6, 1e6, allow_subnormal=False)
_ints = st.integers(-10_000, 10_000)
scalars: st.SearchStrategy[Value] = st.one_of(st.none(), st.booleans(), _ints, _floats, _words)
values: st.SearchStrategy[Value] = st.one_of(scalars, st.lists(_ints, max_size=3).map(tuple))


def _identity(value: Value) -> str:
    return f"{type(value).__name__}{value!r}"


def value_lists(min_size: int = 1) -> st.SearchStrategy[tuple[Value, ...]]:
    """Draws lists of values that differ in type or value."""
    return st.lists(values, min_size=min_size, max_size=5, unique_by=_identity).map(tuple)


specials = st.lists(st.one_of(st.none(), _words), max_size=2, unique_by=_identity).map(tuple)


@st.composite
def int_ranges(draw: st.DrawFn) -> IntRange:
    """Draws int ranges, some with steps, some logarithmic."""
    log = draw(st.booleans())
    low = draw(st.integers(1, 1000) if log else _ints)
    high = low + draw(st.integers(0, 2000))
    return IntRange(low=low, high=high, log=log, step=draw(st.sampled_from([1, 1, 1, 3, 7])))


@st.composite
def float_ranges(draw: st.DrawFn) -> FloatRange:
    """Draws float ranges, some with steps, some logarithmic."""
    log = draw(st.booleans())
    low = draw(st.floats(1e-6, 1e3)) if log else draw(_floats)
    high = low + draw(st.floats(0.0, 1e4, allow_subnormal=False))
    step = draw(st.sampled_from([None, None, 0.1, 0.25, 3.0]))
    return FloatRange(low=low, high=high, log=log, step=step)


@st.composite
def parameters(draw: st.DrawFn, name: str) -> Parameter:
    """Draws parameters of every kind."""
    domain: Domain = draw(
        st.one_of(
            int_ranges(),
            float_ranges(),
            st.builds(Choices, values=value_lists()),
            st.builds(Grid, values=value_lists()),
            st.builds(Fixed, value=values),
        )
    )
    is_range = isinstance(domain, IntRange | FloatRange)
    return Parameter(name=name, domain=domain, specials=draw(specials) if is_range else ())


@st.composite
def spaces(draw: st.DrawFn, max_size: int = 4) -> SearchSpace:
    """Draws spaces."""
    count = draw(st.integers(1, max_size))
    return SearchSpace.of([draw(parameters(f"p{place}")) for place in range(count)])


@st.composite
def _conditions_on(draw: st.DrawFn, parent: Parameter) -> Condition:
    size = parameter_size(parent) or 1
    places = draw(st.lists(st.integers(0, min(size, 50) - 1), min_size=1, max_size=3))
    allowed = tuple(value_at(parent, each) for each in dict.fromkeys(places))
    return Condition(parent=parent.name, values=allowed)


@st.composite
def conditional_spaces(draw: st.DrawFn, max_size: int = 5) -> SearchSpace:
    """Draws spaces in which some parameters hang on values of one other or two, in any shape."""
    found: list[Parameter] = []
    for place in range(draw(st.integers(1, max_size))):
        parameter = draw(parameters(f"p{place}"))
        parents = [each for each in found if parameter_size(each) is not None]
        depends = draw(st.booleans())
        if parents and depends:
            chosen = draw(
                st.lists(
                    st.sampled_from(parents),
                    min_size=1,
                    max_size=2,
                    unique_by=lambda each: each.name,
                )
            )
            conditions = tuple(draw(_conditions_on(each)) for each in chosen)
            parameter = replace(parameter, conditions=conditions)
        found.append(parameter)
    return SearchSpace.of(found)


@st.composite
def weights(draw: st.DrawFn, prefix: str = "w") -> tuple[list[Parameter], SumToOne]:
    """Draws ranges of weights some of which sum to one."""
    count = draw(st.integers(2, 4))
    shares = draw(st.lists(st.floats(0.05, 1.0), min_size=count, max_size=count))
    found = []
    for place, share in enumerate(shares):
        middle = share / sum(shares)
        low = middle * draw(st.floats(0.0, 1.0))
        high = middle + (1 - middle) * draw(st.floats(0.01, 1.0))
        found.append(Parameter(name=f"{prefix}{place}", domain=FloatRange(low=low, high=high)))
    return found, SumToOne(names=tuple(each.name for each in found))


@st.composite
def thresholds(draw: st.DrawFn, prefix: str = "t") -> tuple[list[Parameter], Ordered]:
    """Draws ranges of ints, floats, or floats with steps, some of whose numbers are in order."""
    count = draw(st.integers(2, 3))
    middles = sorted(draw(st.lists(st.integers(0, 20), min_size=count, max_size=count)))
    found = []
    for place, middle in enumerate(middles):
        low, high = middle - draw(st.integers(0, 8)), middle + draw(st.integers(0, 8))
        domains: list[Domain] = [
            IntRange(low=low, high=high),
            FloatRange(low=float(low), high=float(high)),
            FloatRange(low=float(low), high=float(high), step=0.5),
        ]
        domain = draw(st.sampled_from(domains))
        found.append(Parameter(name=f"{prefix}{place}", domain=domain))
    names = [each.name for each in found]
    # The order of a group need not be that of its names.
    turned = dict(zip(names, reversed(names), strict=True)) if draw(st.booleans()) else {}
    found = [replace(each, name=turned.get(each.name, each.name)) for each in found]
    return found, Ordered(names=tuple(each.name for each in found))


@st.composite
def bound_spaces(draw: st.DrawFn) -> SearchSpace:
    """Draws spaces with conditions and constraints."""
    free = draw(conditional_spaces(max_size=3))
    groups = draw(st.lists(st.one_of(weights(), thresholds()), max_size=2))
    found, constraints = list(free.parameters), []
    for place, (members, constraint) in enumerate(groups):
        renamed = {each.name: f"g{place}{each.name}" for each in members}
        found += [replace(each, name=renamed[each.name]) for each in members]
        names = tuple(renamed[each] for each in constraint.names)
        constraints.append(replace(constraint, names=names))
    return SearchSpace.of(found, constraints)


@st.composite
def searchable_spaces(draw: st.DrawFn) -> SearchSpace:
    """Draws spaces with conditions and constraints, and several of them as alternatives."""
    return SearchSpace.of_alternatives(
        draw(st.lists(bound_spaces(), min_size=1, max_size=draw(st.sampled_from([1, 1, 3]))))
    )


@st.composite
def grids(draw: st.DrawFn) -> SearchSpace:
    """Draws spaces of Grid parameters, ranges of numbers among them."""
    count = draw(st.integers(1, 4))
    numbers = st.lists(st.integers(1, 500), min_size=1, max_size=5, unique=True).map(tuple)
    fractions = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5, unique=True).map(tuple)
    mixed = st.tuples(numbers, st.sampled_from([(), (None,), ("sqrt", None)])).map(
        lambda parts: (*parts[0], *parts[1])
    )
    lists = st.one_of(numbers, fractions, mixed, value_lists())
    return SearchSpace.of(
        Parameter(name=f"p{place}", domain=Grid(values=draw(lists))) for place in range(count)
    )


def make_trial(
    number: int,
    parameters: Assignment,
    score: float | None,
    *,
    stage: int = 0,
    candidate: int | None = None,
    state: TrialState | None = None,
) -> Trial:
    """Makes a trial; one without a score FAILED."""
    default = TrialState.FAILED if score is None else TrialState.SUCCEEDED
    return Trial(
        orchestration_id="o",
        number=number,
        tuning_run_id="t",
        stage_index=stage,
        state=state or default,
        attempt=0,
        parameters=parameters,
        candidate_index=candidate,
        phase="grid",
        suggestion_index=number,
        suggested_at_sequence=0,
        score=score,
    )


def sampled_trials(space: SearchSpace, scores: list[float], seed: int) -> list[Trial]:
    """Makes a trial at a random point of a space for each score."""
    return [
        make_trial(number, sample(space, generator(seed, number)), score)
        for number, score in enumerate(scores)
    ]
