"""How many trials are kept open ahead of the workers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.coordinator.service.windows import open_target, to_create


def target(method: str = "grid_search", **changes: Any) -> int:
    arguments: dict[str, Any] = {
        "slots": 2,
        "active_runs": 1,
        "max_concurrent": 0,
        "mean_seconds": None,
    }
    return open_target(method, **(arguments | changes))


@pytest.mark.parametrize("method", ["grid_search", "random_search"])
def test_a_window_never_leaves_its_bounds(method: str) -> None:
    assert target(method, slots=0) == 8
    assert target(method, slots=2, mean_seconds=30.0) == 8
    assert target(method, slots=500, mean_seconds=0.0) == 3_000


def test_quick_trials_have_two_batches_per_slot_and_one_more_ahead() -> None:
    assert target(slots=4, mean_seconds=0.02) == 3 * 4 * 50


def test_a_model_based_method_has_as_many_open_as_can_run() -> None:
    assert target("bayesian", slots=4) == 4
    assert target("bayesian", slots=4, max_concurrent=3) == 3
    assert target("bayesian", slots=0) == 1


def test_a_model_based_method_suggests_ahead_what_would_leave_slots_idle() -> None:
    assert target("bayesian", slots=2, mean_seconds=1.0) == 2 + 1
    assert target("bayesian", slots=16, mean_seconds=1.0) == 16 + 4
    assert target("bayesian", slots=4, mean_seconds=0.01) == 4 + 4
    assert target("bayesian", slots=4, mean_seconds=10.0) == 4


def test_few_at_a_time_are_never_suggested_ahead() -> None:
    assert target("bayesian", slots=4, max_concurrent=1, mean_seconds=0.01) == 1


def test_model_based_runs_of_a_comparison_share_the_slots() -> None:
    assert target("bayesian", slots=8, active_runs=3) == 2
    assert target("bayesian", slots=2, active_runs=3) == 1


@given(
    goal=st.integers(1, 3_000),
    open_now=st.integers(0, 3_000),
    left=st.integers(0, 100_000),
    method=st.sampled_from(["grid_search", "bayesian"]),
)
def test_what_is_created_fits_the_window_and_the_budget(
    goal: int, open_now: int, left: int, method: str
) -> None:
    count = to_create(method, target=goal, open_now=open_now, left=left)
    assert 0 <= count <= 500
    assert count + open_now <= max(goal, open_now)
    assert count <= left
    if open_now == 0 and left != 0:
        assert count > 0


def test_a_window_that_is_nearly_full_is_left_alone() -> None:
    assert to_create("grid_search", target=100, open_now=90, left=1_000) == 0
    assert to_create("grid_search", target=100, open_now=90, left=10) == 10
    assert to_create("grid_search", target=100, open_now=70, left=1_000) == 30
