"""Budgets: room, charges and ends; costs never pass their limit, whatever happens in which order."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.budget import UNLIMITED, Budget, Limit, limit_reached
from services.core.errors import InvalidRequest

LIMITS = st.floats(min_value=1e-3, max_value=1e6)
SECONDS = st.floats(min_value=-10, max_value=1e7)


def reached(budget: Budget, **used: Any) -> Limit | None:
    values: dict[str, Any] = {
        "failed": 0,
        "active_seconds": 0.0,
        "cost": 0.0,
        "queued": 1,
        "running": 0,
        "reserved_attempts": 0,
    }
    return limit_reached(budget, **{**values, **used})


def test_what_has_no_limits_has_room_for_everything() -> None:
    assert UNLIMITED.room_for_trials(10**9) is None
    assert UNLIMITED.room_for_attempts(cost=1e9, reserved_attempts=10**6) is None
    assert UNLIMITED.seconds_left(1e12) is None
    assert reached(UNLIMITED, failed=10**6, active_seconds=1e9, cost=1e9) is None


def test_trials_are_counted_down_to_none() -> None:
    budget = Budget(max_trials=20)
    assert [budget.room_for_trials(created) for created in (0, 19, 20, 25)] == [20, 1, 0, 0]


def test_the_failure_after_the_last_allowed_one_ends_the_search() -> None:
    budget = Budget(max_failed_trials=2)
    assert reached(budget, failed=2) is None
    assert reached(budget, failed=3) is Limit.FAILURES
    assert reached(Budget(max_failed_trials=0), failed=1) is Limit.FAILURES


def test_time_ends_the_search_when_all_of_it_is_used() -> None:
    budget = Budget(max_seconds=60)
    assert reached(budget, active_seconds=59.9) is None
    assert reached(budget, active_seconds=60) is Limit.SECONDS
    assert budget.seconds_left(45) == 15


def test_cost_ends_the_search_once_nothing_can_be_paid_and_nothing_comes_back() -> None:
    budget = Budget(max_cost=1.0, price_per_hour=3600, trial_timeout_seconds=0.4)
    assert reached(budget, cost=0.6) is None
    assert reached(budget, cost=0.7) is Limit.COST
    assert reached(budget, cost=0.7, running=1) is None
    assert reached(budget, cost=0.7, reserved_attempts=1) is None
    # With nothing that waits the plan is at its own end.
    assert reached(budget, cost=0.7, queued=0) is None


def test_fractions_that_add_up_are_enough() -> None:
    budget = Budget(max_cost=0.3, price_per_hour=360, trial_timeout_seconds=1)
    assert budget.room_for_attempts(cost=0.0, reserved_attempts=0) == 3
    assert budget.room_for_attempts(cost=0.1 + 0.1, reserved_attempts=0) == 1
    assert budget.added(0.1 + 0.2, 0.0) == 0.3


def test_without_a_wall_limit_trials_start_while_anything_is_left() -> None:
    budget = Budget(max_cost=1.0, price_per_hour=3600)
    assert budget.room_for_attempts(cost=0.99, reserved_attempts=0) is None
    assert budget.room_for_attempts(cost=1.0, reserved_attempts=0) == 0
    assert budget.charge(told_seconds=None, elapsed_seconds=500) == 500
    assert budget.added(0.9, 0.4) == pytest.approx(1.3)


@pytest.mark.parametrize("told", [None, 0.0, -1.0, math.nan, math.inf])
def test_an_attempt_nobody_can_time_costs_what_passed_since_its_claim(told: float | None) -> None:
    budget = Budget(price_per_hour=3600, trial_timeout_seconds=60)
    assert budget.charge(told_seconds=told, elapsed_seconds=30) == 30
    assert budget.charge(told_seconds=told, elapsed_seconds=90) == 60


def test_a_worker_that_tells_more_than_has_passed_is_not_believed() -> None:
    budget = Budget(price_per_hour=3600)
    assert budget.charge(told_seconds=1e9, elapsed_seconds=5) == 5
    assert budget.charge(told_seconds=2, elapsed_seconds=5) == 2


def test_limits_that_cannot_be_met_are_refused_with_all_numbers() -> None:
    with pytest.raises(InvalidRequest, match="nothing could run") as caught:
        Budget(max_cost=1, price_per_hour=3600, trial_timeout_seconds=2)
    assert [each.field for each in caught.value.violations] == ["budget.max_cost"]
    with pytest.raises(InvalidRequest) as caught:
        Budget(max_trials=0, max_failed_trials=-1, max_seconds=math.nan, max_cost=math.inf)
    assert {each.field for each in caught.value.violations} == {
        "budget.max_trials",
        "budget.max_failed_trials",
        "budget.max_seconds",
        "budget.max_cost",
        "budget.price_per_hour",
    }


@given(price=LIMITS, timeout=LIMITS, told=SECONDS, elapsed=SECONDS)
def test_no_attempt_costs_more_than_it_reserved(
    price: float, timeout: float, told: float, elapsed: float
) -> None:
    budget = Budget(price_per_hour=price, trial_timeout_seconds=timeout)
    charged = budget.charge(told_seconds=told, elapsed_seconds=elapsed)
    assert 0 <= charged <= budget.reservation


@given(
    price=LIMITS,
    timeout=LIMITS,
    trials=st.floats(min_value=1, max_value=50),
    seed=st.integers(min_value=0, max_value=2**32),
)
def test_cost_and_reservations_never_pass_the_limit_in_any_order(
    price: float, timeout: float, trials: float, seed: int
) -> None:
    reservation = price / 3600 * timeout
    budget = Budget(
        max_cost=min(1e12, max(1e-9, reservation * trials)),
        price_per_hour=price,
        trial_timeout_seconds=timeout,
    )
    assert budget.max_cost is not None
    random = Random(seed)
    cost, open_attempts, started = 0.0, 0, 0
    for _ in range(200):
        if random.random() < 0.6:
            room = budget.room_for_attempts(cost=cost, reserved_attempts=open_attempts)
            assert room is not None
            begun = min(room, random.randint(1, 5))
            open_attempts += begun
            started += begun
        elif open_attempts:
            open_attempts -= 1
            took = random.choice([0.0, random.random() * timeout, timeout, 10 * timeout])
            cost = budget.added(cost, budget.charge(told_seconds=None, elapsed_seconds=took))
        assert cost <= budget.max_cost
        assert cost + open_attempts * budget.reservation <= budget.max_cost * (1 + 1e-6)
    assert started >= 1
