"""Adaptive refinement: the factor follows how spread the top results are, within its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.narrowing import effective_factor
from services.core.refinement import refine
from services.core.refinement_rules import ADAPTIVE
from services.core.space import (
    Choices,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    domain_contains,
)
from services.core.trial import Trial, TrialState

UNIT = FloatRange(low=0.0, high=1.0)
ORIGINAL = SearchSpace(parameters=(Parameter(name="x", domain=UNIT),))

places = st.lists(st.integers(0, 1000).map(lambda each: each / 1000), min_size=1, max_size=10)
factors = st.integers(1, 100).map(lambda each: each / 100)


def trials(values: Sequence[float]) -> list[Trial]:
    """Trials with falling scores, so the first value is the best."""
    return trials_at([{"x": each} for each in values])


def trials_at(points: Sequence[Mapping[str, Value]]) -> list[Trial]:
    return [
        Trial(
            orchestration_id="o",
            number=number,
            tuning_run_id="t",
            stage_index=0,
            state=TrialState.SUCCEEDED,
            attempt=0,
            parameters=point,
            candidate_index=None,
            phase="random",
            suggestion_index=number,
            suggested_at_sequence=0,
            score=1.0 - number / 1000,
        )
        for number, point in enumerate(points)
    ]


@given(places, factors)
def test_the_factor_stays_between_its_half_and_one(values: list[float], factor: float) -> None:
    assert factor / 2 <= effective_factor(factor, UNIT, values, log=False) <= 1


@given(places, factors, st.floats(0, 1))
def test_values_that_agree_more_never_widen_it(
    values: list[float], factor: float, shrink: float
) -> None:
    nearer = [values[0] + (each - values[0]) * shrink for each in values]
    wide = effective_factor(factor, UNIT, values, log=False)
    assert effective_factor(factor, UNIT, nearer, log=False) <= wide + 1e-12


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # s = 0: they agree.
        ([0.5, 0.5, 0.5], 0.1),
        # s = 0.25, e = 2/4: half way between 0.1 and 1.
        ([0.5, 0.6, 0.35], 0.55),
        # s above e: as spread as chance.
        ([0.1, 0.9, 0.5], 1.0),
        # A single value is no evidence of agreement.
        ([0.5], 1.0),
    ],
)
def test_the_factor_follows_the_formula(values: list[float], expected: float) -> None:
    assert effective_factor(0.2, UNIT, values, log=False) == pytest.approx(expected)


def test_a_logarithmic_range_is_measured_on_its_scale() -> None:
    decades = FloatRange(low=1e-4, high=1.0, log=True)
    values = [1e-2, 1e-3, 1e-2]
    # One of four decades: s = 1/4, e = 2/4.
    assert effective_factor(0.2, decades, values, log=True) == pytest.approx(0.55)


@given(places, factors)
def test_an_adaptive_space_lies_in_the_original_and_holds_the_best(
    values: list[float], factor: float
) -> None:
    made = refine(
        ORIGINAL, ORIGINAL, trials(values), factor, source_method="random_search", rule=ADAPTIVE
    )
    (after,) = made.space_after.parameters
    assert isinstance(after.domain, FloatRange)
    assert 0.0 <= after.domain.low <= after.domain.high <= 1.0
    assert domain_contains(after.domain, values[0])
    assert made.rule == ADAPTIVE


def test_top_trials_that_agree_narrow_the_range_and_the_record_says_why() -> None:
    # Thirty trials: the gap between random points is small, so the evidence decides.
    values = [0.5, 0.51, 0.49] + [each / 27 for each in range(27)]
    made = refine(
        ORIGINAL, ORIGINAL, trials(values), 0.2, source_method="random_search", rule=ADAPTIVE
    )
    (change,) = made.parameters
    # s = 0.02 and e = 0.5, so f' = 0.1 + 0.9 * 0.04.
    assert change.effective_factor == pytest.approx(0.136)
    after = change.after.domain
    assert isinstance(after, FloatRange)
    assert (after.low, after.high) == pytest.approx((0.5 - 0.068, 0.5 + 0.068))
    assert change.explanation.endswith(
        "; the top 3 spread over 2% of the range, so 14% of it, centred on the best, is searched where"
        " it lies within the original bounds, more where its neighbours are far"
    )


def test_a_fixed_refinement_tells_no_effective_factor() -> None:
    made = refine(ORIGINAL, ORIGINAL, trials([0.5, 0.6]), 0.2, source_method="random_search")
    assert (made.rule, made.parameters[0].effective_factor) == ("fixed", None)


def test_ints_stay_ints_and_lists_keep_their_rule() -> None:
    space = SearchSpace(
        parameters=(
            Parameter(name="depth", domain=IntRange(low=1, high=100)),
            Parameter(name="kind", domain=Choices(values=("a", "b"))),
        )
    )
    points = trials_at([{"depth": 40 + number, "kind": "a"} for number in range(40)])
    made = refine(space, space, points, 0.2, source_method="random_search", rule=ADAPTIVE)
    depth, kind = made.parameters
    assert isinstance(depth.after.domain, IntRange)
    assert depth.after.domain.high < 100
    assert kind.after.domain == Choices(values=("a",))
    assert kind.effective_factor is None
