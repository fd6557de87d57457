"""Hypothesis strategies for search spaces and the trials made of their points."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from services.core.sampling import generator, sample
from services.core.space import (
    Assignment,
    Choices,
    Domain,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
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
