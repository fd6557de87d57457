from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.counting import cardinality
from services.core.digest import assignment_digest
from services.core.sampling import generator, is_explore, sample, sample_without_repeat
from services.core.space import (
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    contains,
)
from tests.unit.core import strategies

_SEED = 7


def _draws(parameter: Parameter, count: int = 4000) -> list[object]:
    space = SearchSpace(parameters=(parameter,))
    rng = generator(_SEED, 0)
    return [sample(space, rng)[parameter.name] for _ in range(count)]


@strategies.few
@given(strategies.spaces(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**31))
def test_samples_lie_in_their_space(space: SearchSpace, seed: int, index: int) -> None:
    assert contains(space, sample(space, generator(seed, index)))


@strategies.few
@given(strategies.spaces(), st.integers(0, 2**32 - 1), st.integers(0, 1000))
def test_a_suggestion_depends_on_seed_and_index_alone(
    space: SearchSpace, seed: int, index: int
) -> None:
    first = sample_without_repeat(space, seed, index, frozenset())
    again = sample_without_repeat(space, seed, index, frozenset())
    assert first is not None
    assert again is not None
    assert assignment_digest(first) == assignment_digest(again)


def test_other_indices_and_seeds_give_other_points() -> None:
    space = SearchSpace.of([Parameter(name="a", domain=FloatRange(low=0.0, high=1.0))])
    points = {
        sample(space, generator(seed, index))["a"] for seed in range(5) for index in range(20)
    }
    assert len(points) == 100


@pytest.mark.parametrize(
    "domain",
    [
        IntRange(low=1, high=4),
        IntRange(low=0, high=9, step=3),
        FloatRange(low=0.0, high=1.5, step=0.5),
        Choices(values=("a", "b", None, 1)),
        Grid(values=(1, 2, 3, 4)),
    ],
)
def test_values_of_a_list_or_lattice_come_equally_often(
    domain: IntRange | FloatRange | Choices | Grid,
) -> None:
    counts = Counter(_draws(Parameter(name="a", domain=domain)))
    assert len(counts) == 4
    assert all(850 < each < 1150 for each in counts.values())


def test_a_logarithmic_range_is_drawn_on_its_scale() -> None:
    drawn = _draws(Parameter(name="a", domain=FloatRange(low=1e-3, high=1e3, log=True)))
    decades = Counter(int(f"{each:e}".split("e")[1]) for each in drawn)
    assert sorted(decades) == [-3, -2, -1, 0, 1, 2]
    assert all(560 < each < 780 for each in decades.values())


def test_the_ends_of_a_logarithmic_int_range_get_their_share() -> None:
    counts = Counter(_draws(Parameter(name="a", domain=IntRange(low=1, high=64, log=True))))
    # The share of 64 is that of its cell from 63.5 to 64.5 on the scale from 0.5 to 64.5.
    assert 4000 * 0.0032 * 0.3 < counts[64] < 4000 * 0.0032 * 2.5
    assert counts[1] > counts[2] > counts[8]


def test_specials_beside_a_range_get_a_fair_share() -> None:
    counts = Counter(
        _draws(Parameter(name="a", domain=IntRange(low=5, high=500), specials=(None,)))
    )
    assert 900 < counts[None] < 1100
    few = Counter(_draws(Parameter(name="a", domain=IntRange(low=5, high=5), specials=(None,))))
    assert 1850 < few[None] < 2150


def test_a_finite_space_is_used_up_without_a_repeat() -> None:
    space = SearchSpace.of(
        [
            Parameter(name="a", domain=Grid(values=tuple(range(12)))),
            Parameter(name="b", domain=IntRange(low=1, high=5), specials=(None,)),
            Parameter(name="c", domain=Fixed(value="x")),
        ]
    )
    taken: set[str] = set()
    for index in range(72):
        point = sample_without_repeat(space, _SEED, index, taken)
        assert point is not None
        assert contains(space, point)
        digest = assignment_digest(point)
        assert digest not in taken
        taken.add(digest)
    assert len(taken) == cardinality(space) == 72
    assert sample_without_repeat(space, _SEED, 72, taken) is None


def test_points_taken_elsewhere_are_not_drawn() -> None:
    space = SearchSpace.of([Parameter(name="a", domain=Grid(values=(1, 1.0, True, "1")))])
    taken = {assignment_digest({"a": each}) for each in (1, True, "1")}
    point = sample_without_repeat(space, _SEED, 0, taken)
    assert point is not None
    assert isinstance(point["a"], float)


@pytest.mark.parametrize(
    ("share", "count"), [(0.0, 0), (0.2, 20), (0.5, 50), (0.33, 33), (1.0, 100)]
)
def test_exploration_is_spread_evenly(share: float, count: int) -> None:
    picked = [index for index in range(100) if is_explore(index, share)]
    assert len(picked) == count
    if share == 0.2:
        assert picked[:3] == [4, 9, 14]
