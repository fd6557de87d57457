"""Whatever is refined lies in the original space, keeps the best, and is recorded in words."""

from hypothesis import given
from hypothesis import strategies as st

from services.core.counting import cardinality
from services.core.grid import grid_point, grid_size
from services.core.hull import hull_space
from services.core.refinement import Refinement, refine
from services.core.refinement_rules import RULES
from services.core.sampling import generator, sample
from services.core.space import (
    SearchSpace,
    contains,
    parameter_contains,
)
from services.core.trial import Trial, ranked
from tests.unit.core import strategies
from tests.unit.core.strategies import make_trial


@strategies.few
@given(
    strategies.grids(),
    st.floats(0.01, 1.0),
    st.lists(st.one_of(st.none(), st.sampled_from([0.1, 0.5, 0.5, 0.9])), min_size=1),
    st.integers(0, 2**31),
)
def test_three_stages_stay_inside_the_original_space(
    space: SearchSpace, factor: float, scores: list[float | None], seed: int
) -> None:
    size = grid_size(space)
    trials = [
        make_trial(number, grid_point(space, (number * 7 + seed) % size), score, candidate=number)
        for number, score in enumerate([*scores, 0.3])
    ]
    original = hull_space(space)
    current = space
    for stage, method in enumerate(("grid_search", "random_search", "bayesian"), start=1):
        refinement = refine(space, current, trials, factor, source_method=method)
        after = refinement.space_after
        _check_record(refinement, original, trials)
        for index in range(4):
            point = sample(after, generator(seed, index))
            assert contains(original, point)
            score = scores[(index * stage) % len(scores)]
            trials.append(make_trial(len(trials), point, score, stage=stage))
        current = after


@strategies.few
@given(
    strategies.spaces(),
    st.floats(0.01, 1.0),
    st.lists(st.floats(0, 1), min_size=1),
    st.integers(0, 99),
)
def test_any_refined_space_lies_in_its_original(
    space: SearchSpace, factor: float, scores: list[float], seed: int
) -> None:
    trials = strategies.sampled_trials(space, scores, seed)
    refinement = refine(space, space, trials, factor, source_method="random_search")
    _check_record(refinement, hull_space(space), trials)
    for index in range(4):
        point = sample(refinement.space_after, generator(seed, index))
        assert contains(hull_space(space), point)


def _check_record(refinement: Refinement, original: SearchSpace, trials: list[Trial]) -> None:
    after = refinement.space_after
    assert after.names == original.names
    points, before = cardinality(after), cardinality(original)
    assert points is None or points >= 2 or before == 1
    best = ranked(trials)[0]
    assert refinement.best_trial_number == best.number
    for old, one in zip(original.parameters, refinement.parameters, strict=True):
        assert one.rule in RULES
        assert one.name in one.explanation
        assert one.name in refinement.summary or "the rest unchanged" in refinement.summary
        best_value = best.parameters[one.name]
        if parameter_contains(old, best_value):
            assert parameter_contains(one.after, best_value)
