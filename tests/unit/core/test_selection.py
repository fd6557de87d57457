"""The simplest candidate about as good as the best is selected, and it says why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.selection import (
    OneStandardError,
    Preference,
    Selected,
    Simpler,
    has_order,
    standard_error,
)
from services.core.space import Choices, Fixed, FloatRange, Grid, IntRange, Parameter
from services.core.trial import SplitScores, Trial, TrialState, best_of

LOWER_C = Simpler(parameter="C", prefer=Preference.LOWER)
MORE_LEAVES = Simpler(parameter="leaf", prefer=Preference.HIGHER)


def trial(number: int, *scores: float, **parameters: Any) -> Trial:
    return Trial(
        orchestration_id="o",
        number=number,
        tuning_run_id="r",
        stage_index=0,
        state=TrialState.SUCCEEDED,
        attempt=0,
        parameters=parameters,
        candidate_index=number,
        phase="grid",
        suggestion_index=number,
        suggested_at_sequence=0,
        score=float(np.mean(scores)),
        metrics=(SplitScores(metric="accuracy", scores=scores),),
    )


def selected(trials: list[Trial], *simpler: Simpler) -> Selected:
    best = best_of(trials)
    assert best is not None
    rule = OneStandardError(best, simpler)
    rule.offer(trials)
    return rule.selected()


def test_the_simplest_within_one_standard_error_of_the_best_is_selected() -> None:
    trials = [
        trial(0, 0.80, 0.82, 0.78, 0.80, C=0.01),
        trial(1, 0.91, 0.92, 0.88, 0.90, C=0.1),
        trial(2, 0.92, 0.94, 0.88, 0.90, C=1.0),
        trial(3, 0.92, 0.94, 0.88, 0.91, C=10.0),
    ]
    found = selected(trials, LOWER_C)
    error = np.std([0.92, 0.94, 0.88, 0.91], ddof=1) / 2
    assert found.standard_error == pytest.approx(error)
    assert found.threshold == pytest.approx(0.9125 - error)
    assert (found.trial.number, found.best.number, found.candidates) == (1, 3, 3)
    assert found.reason == (
        "trial 1 is the simplest (lower C) of 3 within one standard error (0.0125) of the best,"
        " trial 3 with 0.9125"
    )


def test_parameters_count_in_their_order_and_equal_simplicity_goes_to_the_better() -> None:
    trials = [
        trial(0, 0.9, 0.8, C=1, leaf=1),
        trial(1, 0.9, 0.79, C=1, leaf=5),
        trial(2, 0.89, 0.79, C=1, leaf=5),
        trial(3, 0.89, 0.79, C=2, leaf=9),
    ]
    assert selected(trials, LOWER_C, MORE_LEAVES).trial.number == 1
    assert selected(trials, MORE_LEAVES, LOWER_C).trial.number == 3


def test_what_is_no_number_is_the_least_simple() -> None:
    trials = [
        trial(0, 0.9, 0.8, max_depth=None),
        trial(1, 0.9, 0.79, max_depth=30),
        trial(2, 0.88, 0.79),
    ]
    depth = Simpler(parameter="max_depth", prefer=Preference.LOWER)
    assert selected(trials, depth).trial.number == 1
    most = Simpler(parameter="max_depth", prefer=Preference.HIGHER)
    assert selected(trials, most).trial.number == 1


def test_the_best_may_itself_be_the_simplest_or_stand_alone() -> None:
    simplest = selected([trial(0, 0.9, 0.7, C=1), trial(1, 0.89, 0.7, C=2)], LOWER_C)
    assert simplest.trial.number == 0
    assert simplest.reason.startswith("trial 0 is the best, and itself the simplest (lower C) of 2")
    alone = selected([trial(0, 0.9, 0.9, C=3), trial(1, 0.8, 0.9, C=2)], LOWER_C)
    assert (alone.trial.number, alone.candidates, alone.standard_error) == (0, 1, 0.0)
    assert "no other is within one standard error" in alone.reason


def test_one_split_has_no_standard_error_and_only_equals_are_as_good() -> None:
    assert standard_error([0.5]) == 0.0
    assert standard_error([1e308, -1e308]) == math.inf
    assert (
        selected(
            [trial(0, 0.9, C=2), trial(1, 0.9, C=1), trial(2, 0.89, C=0)], LOWER_C
        ).trial.number
        == 1
    )


@settings(max_examples=60)
@given(
    table=st.lists(
        st.tuples(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.integers(0, 5)),
        min_size=1,
        max_size=20,
    )
)
def test_it_is_the_rule_restated_over_the_whole_table(
    table: list[tuple[list[float], int]],
) -> None:
    trials = [trial(number, *scores, C=value) for number, (scores, value) in enumerate(table)]
    means = [float(np.mean(scores)) for scores, _ in table]
    best = max(range(len(table)), key=lambda place: (means[place], -place))
    error = float(np.std(table[best][0], ddof=1)) / math.sqrt(3)
    near = [place for place in range(len(table)) if means[place] >= means[best] - error]
    wanted = min(near, key=lambda place: (table[place][1], -means[place], place))
    found = selected(trials, LOWER_C)
    assert (found.trial.number, found.best.number) == (wanted, best)
    assert found.candidates == len(near)


@pytest.mark.parametrize(
    ("parameter", "ordered"),
    [
        (Parameter(name="p", domain=FloatRange(low=0, high=1)), True),
        (Parameter(name="p", domain=IntRange(low=1, high=3), specials=(None,)), True),
        (Parameter(name="p", domain=Grid(values=(5, 10, None))), True),
        (Parameter(name="p", domain=Choices(values=("linear", "rbf"))), False),
        (Parameter(name="p", domain=Choices(values=((50,), (100, 50)))), False),
        (Parameter(name="p", domain=Grid(values=(5,))), False),
        (Parameter(name="p", domain=Fixed(value=5)), False),
    ],
)
def test_only_parameters_with_numbers_to_choose_from_make_candidates_simpler(
    parameter: Parameter, ordered: bool
) -> None:
    assert has_order(parameter) is ordered
