"""A search's rule at every step of many trials, against a plain re-statement over their whole curves."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidRequest
from services.core.pruning_settings import (
    ASHA,
    LOSSLESS,
    MEDIAN,
    RACING,
    Pruning,
    StepKind,
)
from services.core.step_judging import Incumbent, StepStanding, judged, standing
from tests.unit.core.test_pruning_rules import CURVES, run_asha

STEPS = 10
KINDS = st.sampled_from(StepKind)
TABLES = st.lists(st.lists(st.floats(0, 1), min_size=STEPS, max_size=STEPS), min_size=1, max_size=8)


def run_all(curves: Sequence[Sequence[float]], pruning: Pruning) -> list[int]:
    """Runs trials at the same pace, all of a step before the next. Returns: the steps each made."""
    recorded: dict[int, dict[int, StepStanding]] = {}
    made = [0] * len(curves)
    stopped: set[int] = set()
    for step in range(1, STEPS + 1):
        at_step = recorded.setdefault(step, {})
        for number, curve in enumerate(curves):
            if number in stopped:
                continue
            values = curve[:step]
            decision = judged(pruning, values, step=step, peers=list(at_step.values()))
            at_step[number] = standing(values)
            made[number] = step
            if decision is not None and decision.stop:
                assert decision.step_kind is pruning.step_kind
                stopped.add(number)
    return made


@given(TABLES, KINDS, st.integers(1, 3), st.integers(1, 3))
def test_the_median_rule_is_its_plain_statement_at_every_step(
    curves: list[list[float]], kind: StepKind, warmup: int, startup: int
) -> None:
    pruning = Pruning(
        rule=MEDIAN, step_kind=kind, warmup_steps=warmup, startup_trials=startup, max_steps=STEPS
    )
    expected = [0] * len(curves)
    running = list(range(len(curves)))
    for step in range(1, STEPS + 1):
        before: list[float] = []
        for number in list(running):
            mean = float(np.mean(curves[number][:step]))
            value = mean if kind is StepKind.FOLD else max(curves[number][:step])
            expected[number] = step
            looks = warmup <= step < STEPS and len(before) >= startup
            if looks and value < statistics.median(before):
                running.remove(number)
            before.append(mean)
    assert run_all(curves, pruning) == expected


@given(TABLES, KINDS, st.integers(1, 4), st.integers(2, 4))
def test_asha_is_its_plain_statement_at_every_rung(
    curves: list[list[float]], kind: StepKind, grace: int, eta: int
) -> None:
    pruning = Pruning(
        rule=ASHA, step_kind=kind, grace_period=grace, reduction_factor=eta, max_steps=STEPS
    )
    expected = [0] * len(curves)
    running = list(range(len(curves)))
    for step in range(1, STEPS + 1):
        rung: list[float] = []
        for number in list(running):
            folds = kind is StepKind.FOLD
            value = float(np.mean(curves[number][:step])) if folds else curves[number][step - 1]
            expected[number] = step
            rung.append(value)
            if kind is StepKind.TRAINING_SIZE:
                # Such steps are rungs: each has eta times the rows of the one before.
                is_rung = grace <= step < STEPS
            else:
                is_rung = step < STEPS and step in {grace * eta**power for power in range(5)}
            better = sum(each > value for each in rung)
            if is_rung and len(rung) >= eta and better >= len(rung) // eta:
                running.remove(number)
    assert run_all(curves, pruning) == expected


def test_recorded_learners_get_the_steps_that_successive_halving_alone_gives_them() -> None:
    pruning = Pruning(
        rule=ASHA,
        step_kind=StepKind.BOOSTING_ROUND,
        grace_period=2,
        reduction_factor=2,
        max_steps=STEPS,
    )
    recorded: dict[int, list[StepStanding]] = {}
    steps = []
    for curve in CURVES:
        for step in range(1, STEPS + 1):
            peers = recorded.setdefault(step, [])
            decision = judged(pruning, curve[:step], step=step, peers=peers)
            peers.append(standing(curve[:step]))
            if step == STEPS or (decision is not None and decision.stop):
                steps.append(step)
                break
    assert steps == run_asha(CURVES, pruning.asha)


def test_a_race_looks_once_enough_splits_are_shared_and_never_after_the_last() -> None:
    pruning = Pruning(rule=RACING, max_steps=7)
    best = Incumbent(scores=(0.9, 0.91, 0.9, 0.92, 0.9, 0.91, 0.9), test_share=1 / 6)
    low = [0.5, 0.51, 0.5, 0.52, 0.5, 0.51, 0.5]
    looks = [
        judged(pruning, low[:step], step=step, peers=(), incumbent=best) for step in range(1, 8)
    ]
    assert [each is not None and each.stop for each in looks] == [False] * 4 + [True, True, False]
    alone = judged(pruning, low[:5], step=5, peers=())
    assert alone is not None
    assert not alone.stop


def test_lossless_pruning_is_decided_where_trials_run() -> None:
    assert judged(Pruning(), [0.0], step=1, peers=[standing([1.0])]) is None
    assert not Pruning().guesses
    assert all(Pruning(rule=each, max_steps=9).guesses for each in (MEDIAN, ASHA, RACING))


@pytest.mark.parametrize(
    ("figures", "fields"),
    [
        ({"rule": "bold"}, ["rule"]),
        (
            {"rule": ASHA, "reduction_factor": 1, "grace_period": 6},
            ["grace_period", "reduction_factor"],
        ),
        ({"rule": ASHA, "grace_period": 0}, ["grace_period"]),
        (
            {"rule": MEDIAN, "warmup_steps": 5, "startup_trials": 0},
            ["warmup_steps", "startup_trials"],
        ),
        ({"rule": RACING, "level": 0.7, "test": "guess"}, ["min_splits", "test", "level"]),
        ({"rule": RACING, "level": float("nan"), "min_splits": 4}, ["level", "min_splits"]),
        ({"rule": RACING, "step_kind": StepKind.TRAINING_SIZE, "max_steps": 9}, ["step_kind"]),
        (
            {"rule": LOSSLESS, "step_kind": StepKind.BOOSTING_ROUND, "keep": 0},
            ["keep", "step_kind"],
        ),
    ],
)
def test_all_that_is_wrong_with_a_rule_is_said_at_once(
    figures: dict[str, object], fields: list[str]
) -> None:
    given_steps = {"max_steps": 5} | figures
    with pytest.raises(InvalidRequest) as raised:
        Pruning(**given_steps)  # type: ignore[arg-type]  # a table of all kinds of figures
    assert [each.field for each in raised.value.violations] == [
        f"pruning.{each}" for each in fields
    ]


def test_figures_of_other_rules_do_not_count() -> None:
    assert Pruning(rule=ASHA, warmup_steps=0, level=7.0, max_steps=5).looks_at(4)
    assert replace(Pruning(rule=MEDIAN, reduction_factor=0), max_steps=5).looks_at(4)
