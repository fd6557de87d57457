"""Listings, the status of an orchestration, the best model."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.errors import InvalidRequest, NotFound, WrongState
from services.core.plan import LifecycleState
from services.core.trial import Trial, TrialState
from services.store.ports.results import TrialOrder
from services.store.service.plans import Change
from tests.integration.store.scenario import TENANT, Scenario, failure, success

STATE = LifecycleState


async def _pages(scenario: Scenario, page_size: int, **filters: Any) -> list[Trial]:
    found: list[Trial] = []
    token = ""
    values: dict[str, Any] = {
        "orchestration_id": "",
        "tuning_run_id": "",
        "states": (),
        "min_score": None,
        "order": TrialOrder.NUMBER,
    }
    while True:
        page, token = await scenario.cases.runs.trials(
            **{**values, **filters}, page_size=page_size, page_token=token
        )
        found += page
        if not token:
            return found
        assert len(page) == page_size


async def _mixed(scenario: Scenario) -> tuple[str, Any, Any]:
    """Two tuning runs of five trials each: 0–4 and 5–9, some scored, one failed, two open."""
    orchestration = await scenario.start(stages=(2,), planned=5)
    identifier = orchestration.orchestration_id
    first, second = orchestration.stages[0].tuning_runs
    session = await scenario.session()
    for run in (first, second):
        made = await scenario.queue(run.tuning_run_id, 5)
        await scenario.claim(session, run, range(made.first_number, made.first_number + 4))
    await scenario.finish(
        success(identifier, 0, 0.5),
        success(identifier, 1, 0.9),
        success(identifier, 2, 0.5),
        failure(identifier, 3),
        success(identifier, 5, 0.9),
        success(identifier, 6, 0.1),
        success(identifier, 7, 0.7),
    )
    return identifier, first, second


async def test_pages_of_trials_by_number_are_complete(scenario: Scenario) -> None:
    identifier, first, second = await _mixed(scenario)
    for size in (1, 3, 100):
        found = await _pages(scenario, size, orchestration_id=identifier)
        assert [each.number for each in found] == list(range(10))
        found = await _pages(scenario, size, tuning_run_id=second.tuning_run_id)
        assert [each.number for each in found] == [5, 6, 7, 8, 9]
    filtered = await _pages(
        scenario,
        2,
        orchestration_id=identifier,
        tuning_run_id=first.tuning_run_id,
        states=(TrialState.SUCCEEDED,),
        min_score=0.5,
    )
    assert [each.number for each in filtered] == [0, 1, 2]


async def test_pages_of_trials_by_score_are_ranked(scenario: Scenario) -> None:
    identifier, first, _ = await _mixed(scenario)
    for size in (1, 2, 3, 100):
        found = await _pages(scenario, size, orchestration_id=identifier, order=TrialOrder.SCORE)
        # Equal scores: the lower candidate index first (trial 5 is candidate 0, trial 1 candidate 1).
        assert [each.number for each in found] == [5, 1, 7, 0, 2, 6, 3, 4, 8, 9]
    mine = await _pages(
        scenario, 2, tuning_run_id=first.tuning_run_id, order=TrialOrder.SCORE, min_score=0.5
    )
    assert [each.number for each in mine] == [1, 0, 2]


async def test_bad_listings_are_refused(scenario: Scenario) -> None:
    identifier, first, _ = await _mixed(scenario)
    other = await scenario.start()
    trials = scenario.cases.runs.trials
    base: dict[str, Any] = {
        "states": (),
        "min_score": None,
        "order": TrialOrder.NUMBER,
        "page_size": 3,
    }
    page, token = await trials(**base, orchestration_id=identifier, tuning_run_id="", page_token="")
    assert len(page) == 3
    for bad in ("nonsense", token[:-3], token + "A", "é"):
        with pytest.raises(InvalidRequest, match="page_token"):
            await trials(**base, orchestration_id=identifier, tuning_run_id="", page_token=bad)
    with pytest.raises(InvalidRequest, match="page_token"):
        await trials(
            **base, orchestration_id=other.orchestration_id, tuning_run_id="", page_token=token
        )
    with pytest.raises(InvalidRequest, match="orchestration_id"):
        await trials(**base, orchestration_id="", tuning_run_id="", page_token="")
    for size in (0, 1001):
        with pytest.raises(InvalidRequest, match="page_size"):
            await trials(
                **{**base, "page_size": size},
                orchestration_id=identifier,
                tuning_run_id="",
                page_token="",
            )
    with pytest.raises(NotFound):
        await trials(
            **base,
            orchestration_id=other.orchestration_id,
            tuning_run_id=first.tuning_run_id,
            page_token="",
        )


async def test_orchestrations_are_listed_newest_first(scenario: Scenario) -> None:
    made = [await scenario.start(study_name=f"study {place}") for place in range(5)]
    await scenario.cases.plans.change(made[1].orchestration_id, Change.CANCEL)
    listed: list[str] = []
    token = ""
    while True:
        found, token = await scenario.cases.runs.orchestrations(
            TENANT, states=(), study_name="", page_size=2, page_token=token
        )
        listed += [each.orchestration_id for each in found]
        assert all(each.stages == () for each in found)
        if not token:
            break
    assert listed == [each.orchestration_id for each in reversed(made)]
    cancelled, _ = await scenario.cases.runs.orchestrations(
        TENANT, states=(STATE.CANCELLED,), study_name="", page_size=None, page_token=""
    )
    assert [each.orchestration_id for each in cancelled] == [made[1].orchestration_id]
    named, _ = await scenario.cases.runs.orchestrations(
        TENANT, states=(), study_name="study 3", page_size=None, page_token=""
    )
    assert [each.orchestration_id for each in named] == [made[3].orchestration_id]


async def test_a_status_shows_progress_and_the_time_left(scenario: Scenario) -> None:
    orchestration, _, _ = await scenario.started(count=4, planned=10, stages=(1, 1))
    identifier = orchestration.orchestration_id
    unknown = await scenario.cases.runs.orchestration(identifier)
    assert unknown.timings.remaining_seconds is None
    await scenario.finish(
        success(identifier, 0, 0.5, seconds=2.0), failure(identifier, 1), success(identifier, 2)
    )
    shown = await scenario.cases.runs.orchestration(identifier)
    counts = shown.counts
    assert (counts.total, counts.completed, counts.running, counts.queued) == (20, 3, 1, 0)
    assert (counts.succeeded, counts.failed) == (2, 1)
    assert shown.percentage == 15.0
    stage = shown.stages[0]
    assert (stage.best_score, stage.counts.total, stage.method) == (0.55, 10, "grid_search")
    assert stage.timings.started_at is not None
    assert stage.timings.duration_seconds > 0
    # 7 + 10 trials of (2 + 0.01 + 0.01) / 3 seconds on 4 slots.
    mean = 2.02 / 3
    assert stage.timings.remaining_seconds == pytest.approx(7 * mean / 4)
    assert shown.timings.remaining_seconds == pytest.approx(17 * mean / 4)


async def test_the_best_model_needs_completion_unless_asked_for_so_far(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started()
    identifier = orchestration.orchestration_id
    best = scenario.cases.runs.best_model
    with pytest.raises(WrongState, match="no successful trial"):
        await best(identifier, best_so_far=True)
    await scenario.finish(success(identifier, 1, 0.5, 0.7))
    with pytest.raises(WrongState, match="best_so_far"):
        await best(identifier, best_so_far=False)
    so_far = await best(identifier, best_so_far=True)
    assert (so_far.complete, so_far.best.trial_number) == (False, 1)
    await scenario.close(orchestration, run)
    final = await best(identifier, best_so_far=False)
    assert final.complete
    assert final.trial.metrics[0].scores == (0.5, 0.7)
    assert [(each.rank, each.state) for each in final.ranking] == [(1, STATE.COMPLETED)]


async def test_models_rank_by_score_then_by_their_place_in_the_plan(scenario: Scenario) -> None:
    orchestration = await scenario.start(stages=(4,), planned=1)
    identifier = orchestration.orchestration_id
    runs = orchestration.stages[0].tuning_runs
    session = await scenario.session(slots=4)
    # Created from last to first, so that trial numbers would rank them the other way round.
    for run in reversed(runs):
        made = await scenario.queue(run.tuning_run_id, 1)
        await scenario.claim(session, run, [made.first_number])
    await scenario.finish(
        failure(identifier, 0, message="ValueError: why"),
        success(identifier, 1, 0.7),
        success(identifier, 2, 0.7),
        success(identifier, 3, 0.6),
    )
    for run, state in zip(
        runs, (STATE.COMPLETED, STATE.COMPLETED, STATE.COMPLETED, STATE.FAILED), strict=True
    ):
        await scenario.close(orchestration, run, state)
    found = await scenario.cases.runs.best_model(identifier, best_so_far=False)
    assert [(each.rank, each.model_run_id) for each in found.ranking] == [
        (1, runs[1].model_run_id),
        (2, runs[2].model_run_id),
        (3, runs[0].model_run_id),
        (0, runs[3].model_run_id),
    ]
    assert found.best.model_run_id == runs[1].model_run_id
    assert found.ranking[-1].message == "ValueError: why"


async def test_the_history_gives_each_tuning_runs_steps_and_figures(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=3)
    identifier = orchestration.orchestration_id
    (none,) = await scenario.cases.runs.history(identifier)
    assert (none.scores.count, none.scores.best, none.scores.improvements) == (0, None, ())
    # In the order they ended, which is not that of their numbers.
    await scenario.finish(success(identifier, 2, 0.5))
    await scenario.finish(success(identifier, 0, 0.4))
    await scenario.finish(success(identifier, 1, 0.75))
    (found,) = await scenario.cases.runs.history(identifier)
    assert found.tuning_run_id == run.tuning_run_id
    steps = [
        (each.trial_number, each.score, each.trials_before) for each in found.scores.improvements
    ]
    assert steps == [(2, 0.5, 0), (1, 0.75, 2)]
    assert found.scores.count == 3
    assert found.scores.mean == pytest.approx(0.55)
    assert found.scores.expected_improvement is not None
    with pytest.raises(NotFound):
        await scenario.cases.runs.history("3f2b8c9e-1d4a-4c6b-9a77-0e5d2f1b6c88")
