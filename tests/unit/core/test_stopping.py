"""Stopping rules: plateaus and targets, trial by trial."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidRequest
from services.core.stopping import (
    NO_RULES,
    NO_TREND,
    StoppingRules,
    StopReason,
    follow,
    stop_message,
)

Scores = list[float | None]

scores = st.lists(
    st.one_of(st.none(), st.integers(-8, 8).map(lambda each: each / 4)), min_size=1, max_size=40
)


def run(rules: StoppingRules, told: Scores) -> tuple[int, StopReason] | None:
    """Gives the place of the trial that ends it, and why."""
    trend, best = NO_TREND, None
    for place, score in enumerate(told):
        trend, reason = follow(rules, trend, score=score, best_before=best)
        if reason is not None:
            return place, reason
        if score is not None:
            best = score if best is None else max(best, score)
    return None


def first_flat(told: Scores, count: int, step: float) -> int | None:
    """The definition by hand: the first place with `count` trials behind the last improvement."""
    for place in range(len(told)):
        reference, last = None, None
        for index, score in enumerate(told[: place + 1]):
            if score is not None and (reference is None or score > reference + step):
                reference, last = score, index
        if last is not None and place - last >= count:
            return place
    return None


@given(scores, st.integers(1, 6), st.sampled_from([0.0, 0.25, 0.6]))
def test_a_plateau_is_so_many_trials_in_a_row_without_an_improvement(
    told: Scores, count: int, step: float
) -> None:
    rules = StoppingRules(plateau_trials=count, min_improvement=step)
    place = first_flat(told, count, step)
    assert run(rules, told) == (None if place is None else (place, StopReason.PLATEAU))


@given(scores, st.integers(-8, 8))
def test_the_target_is_reached_by_the_first_trial_that_scores_as_much(
    told: Scores, quarters: int
) -> None:
    target = quarters / 4
    place = next(
        (at for at, score in enumerate(told) if score is not None and score >= target), None
    )
    found = run(StoppingRules(target_score=target), told)
    assert found == (None if place is None else (place, StopReason.TARGET_REACHED))


@given(scores, st.integers(1, 6), st.integers(-8, 8))
def test_two_rules_end_it_where_the_first_of_them_does(
    told: Scores, count: int, quarters: int
) -> None:
    both = StoppingRules(plateau_trials=count, target_score=quarters / 4)
    alone = [
        run(StoppingRules(plateau_trials=count), told),
        run(StoppingRules(target_score=quarters / 4), told),
    ]
    places = [each[0] for each in alone if each is not None]
    found = run(both, told)
    assert (None if found is None else found[0]) == min(places, default=None)


@given(scores)
def test_no_rules_end_nothing(told: Scores) -> None:
    assert run(NO_RULES, told) is None
    assert not NO_RULES.any


def test_small_steps_add_up_to_an_improvement() -> None:
    rules = StoppingRules(plateau_trials=3, min_improvement=0.05)
    assert run(rules, [0.5, 0.52, 0.54, 0.56, 0.58, 0.6]) is None
    assert run(rules, [0.5, 0.51, 0.52, 0.53]) == (3, StopReason.PLATEAU)


def test_what_goes_on_after_its_target_is_not_ended_by_it_again() -> None:
    rules = StoppingRules(target_score=0.9)
    assert follow(rules, NO_TREND, score=0.95, best_before=0.91)[1] is None


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"plateau_trials": 0}, "plateau_trials"),
        ({"plateau_trials": 10**9}, "plateau_trials"),
        ({"plateau_trials": 3, "min_improvement": -0.1}, "min_improvement"),
        ({"plateau_trials": 3, "min_improvement": math.nan}, "min_improvement"),
        ({"min_improvement": 0.1}, "min_improvement"),
        ({"target_score": math.inf}, "target_score"),
    ],
)
def test_a_rule_out_of_range_is_refused_by_its_name(rules: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        StoppingRules(**rules)
    assert [each.field for each in caught.value.violations] == [field]


def test_all_rules_out_of_range_are_refused_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        StoppingRules(plateau_trials=0, min_improvement=-1, target_score=math.nan)
    assert len(caught.value.violations) == 3


def test_people_are_told_what_ended_it() -> None:
    rules = StoppingRules(plateau_trials=20, min_improvement=0.001, target_score=0.9)
    assert (
        stop_message(rules, StopReason.PLATEAU, best_score=0.87654321, best_number=7)
        == "none of the last 20 trials improved the score by more than 0.001: trial 7 has 0.876543"
    )
    assert (
        stop_message(rules, StopReason.TARGET_REACHED, best_score=0.91, best_number=8)
        == "the target of 0.9 is reached: trial 8 has 0.91"
    )
