"""Whole searches through the coordinator's API, on a real store."""

from __future__ import annotations

import math

import pytest

from services.common.convert.values import assignment_from_proto
from services.core.digest import assignment_digest
from tests.integration.coordinator.conftest import Bench, State, svm_score
from tuning.v1 import event_pb2, run_service_pb2, trial_pb2

GRID = {"C": [0.1, 1, 10, 100], "gamma": [0.001, 0.01, 0.1]}


async def test_a_progressive_search_runs_its_three_stages_with_exact_counts(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    worker = await bench.worker(svm_score)
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid=GRID,
        n_iter_random=15,
        n_iter_bayesian=8,
    )
    assert [stage.state for stage in started.stages] == [
        State.LIFECYCLE_STATE_RUNNING,
        State.LIFECYCLE_STATE_PENDING,
        State.LIFECYCLE_STATE_PENDING,
    ]
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED, ended
    assert [stage.counts.succeeded for stage in ended.stages] == [12, 15, 8]
    assert [stage.reason for stage in ended.stages] == [
        "SPACE_EXHAUSTED",
        "BUDGET_SPENT",
        "BUDGET_SPENT",
    ]
    assert ended.counts.completed == ended.counts.total == 35
    assert len(worker.finished) == len(set(worker.finished)) == 35

    trials = await bench.trials(started.orchestration_id)
    assert [trial.number for trial in trials] == [*range(35)]
    digests = {assignment_digest(assignment_from_proto(trial.parameters)) for trial in trials}
    assert len(digests) == 35
    assert [trial.candidate_index for trial in trials[:12]] == [*range(12)]
    assert {trial.phase for trial in trials if trial.stage_index == 1} == {"random", "explore"}
    assert {trial.phase for trial in trials if trial.stage_index == 2} == {"model", "explore"}
    assert all(trial.state == trial_pb2.TRIAL_STATE_SUCCEEDED for trial in trials)
    assert ended.best.score == max(trial.score for trial in trials)

    refinements = await bench.refinements(started.orchestration_id)
    assert len(refinements) == 2
    assert all(each.summary and each.best_trial_number >= 0 for each in refinements)
    assert len(refinements[1].evidence_trial_numbers) >= 3


async def test_a_preset_space_goes_from_a_grid_of_its_ranges_through_all_stages(
    bench: Bench,
) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(lambda point: 0.5 + 0.01 * int(str(point["min_samples_leaf"])))
    started = await coordinator.progressive(
        model_run_id=await bench.model_run("random_forest_classifier"),
        space_type="SPACE_TYPE_DEFAULT",
        config_type="CONFIG_TYPE_DEFAULT",
    )
    assert started.budget.max_seconds == 3600
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED, ended
    points = ended.stages[0].tuning_runs[0].total_combinations
    assert 7 <= points <= 20
    assert [stage.counts.succeeded for stage in ended.stages] == [points, 15, 15]
    random = ended.stages[1].tuning_runs[0]
    original = {each.name: each for each in random.original_space.parameters}
    assert original["min_samples_leaf"].int_range.high == 10
    assert ended.best.score == 0.6
    assert len(await bench.refinements(started.orchestration_id)) == 2


async def test_values_beside_a_range_go_through_all_stages(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(lambda point: 0.5 + 0.1 * (point["max_depth"] is None))
    started = await coordinator.progressive(
        model_run_id=await bench.model_run("decision_tree_classifier"),
        initial_param_grid={"max_depth": [5, 10, 20, None], "min_samples_leaf": [1, 2, 4]},
        n_iter_random=10,
        n_iter_bayesian=6,
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    assert ended.stages[0].counts.succeeded == 12
    assert ended.stages[1].counts.succeeded >= 1
    assert ended.stages[2].counts.succeeded >= 1


async def test_a_typed_space_goes_through_all_stages(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(svm_score)
    space = {
        "parameters": [
            {
                "name": "gamma",
                "float_range": {"low": 1e-4, "high": 1.0, "log": True},
                "specials": [{"string_value": "scale"}],
            },
            {"name": "C", "float_range": {"low": 0.1, "high": 100.0, "log": True}},
        ]
    }
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        search_space=space,
        grid_resolution=3,
        n_iter_random=6,
        n_iter_bayesian=4,
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED, ended
    assert [stage.counts.succeeded for stage in ended.stages] == [12, 6, 4]
    trials = await bench.trials(started.orchestration_id)
    assert [trial.candidate_index for trial in trials[:12]] == [*range(12)]
    gammas = [trial.parameters.values["gamma"] for trial in trials]
    assert gammas[3].string_value == "scale"
    assert all(each.string_value == "scale" or 1e-4 <= each.float_value <= 1.0 for each in gammas)


async def test_conditions_and_constraints_hold_for_every_trial_of_every_stage(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(svm_score)
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        search_space={
            "parameters": [
                {"name": "C", "float_range": {"low": 0.1, "high": 0.9}},
                {"name": "tol", "float_range": {"low": 0.1, "high": 0.9}},
                {
                    "name": "kernel",
                    "choices": {"values": [{"string_value": "rbf"}, {"string_value": "linear"}]},
                },
                {
                    "name": "gamma",
                    "float_range": {"low": 1e-3, "high": 1.0, "log": True},
                    "condition": {"parent": "kernel", "values": [{"string_value": "rbf"}]},
                },
            ],
            "constraints": [{"sum_to_one": {"names": ["C", "tol"]}}],
        },
        grid_resolution=3,
        n_iter_random=8,
        n_iter_bayesian=6,
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED, ended
    # Of the weights three pairs, and by each linear, or rbf with three gammas.
    assert [stage.counts.succeeded for stage in ended.stages] == [12, 8, 6]
    for trial in await bench.trials(started.orchestration_id):
        point = assignment_from_proto(trial.parameters)
        assert ("gamma" in point) == (point["kernel"] == "rbf")
        weights = (
            trial.parameters.values["C"].float_value + trial.parameters.values["tol"].float_value
        )
        assert weights == pytest.approx(1.0, abs=1e-9)


async def test_distributions_are_searched_at_random(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(lambda point: 0.9 if point["max_depth"] == 3 else 0.8)
    started = await coordinator.tuning(
        model_run_id=await bench.model_run("decision_tree_classifier"),
        tuning_method="random_search",
        distributions={"max_depth": {"type": "randint", "lower": 2, "upper": 6}},
        n_iter=10,
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.counts.succeeded == 4
    trials = await bench.trials(started.orchestration_id)
    depths = {trial.parameters.values["max_depth"].int_value for trial in trials}
    assert depths == {2, 3, 4, 5}


async def test_a_search_whose_grid_is_all_there_is_completes(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(lambda point: 0.9 if point["kernel"] == "rbf" else 0.8)
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid={"kernel": ["rbf", "linear"], "shrinking": [True, False]},
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED, ended
    assert [stage.counts.succeeded for stage in ended.stages] == [4, 1, 1]
    # Nothing is left to try: the best result stands again, and nothing is fitted for it.
    trials = await bench.trials(started.orchestration_id)
    assert ended.used.copied_trials == 2
    best = ended.best.trial_number
    for each in trials[4:]:
        assert (each.phase, each.copied_from, each.worker) == ("repeat", best, "")
        assert (each.score, each.parameters) == (trials[best].score, trials[best].parameters)
    assert {stage.reason for stage in ended.stages} == {"SPACE_EXHAUSTED"}
    trials = await bench.trials(started.orchestration_id)
    assert [trial.phase for trial in trials[4:]] == ["repeat", "repeat"]


@pytest.mark.parametrize("parallel", [True, False])
async def test_a_comparison_tunes_every_model_and_ranks_them(bench: Bench, parallel: bool) -> None:
    coordinator = await bench.coordinator()
    ids = [
        await bench.model_run("svm_classifier"),
        await bench.model_run("decision_tree_classifier"),
        await bench.model_run("gaussian_nb"),
    ]
    await bench.worker(lambda point: 0.9 if "C" in point else 0.7)
    started = await coordinator.comparison(
        model_run_ids=ids,
        param_grids={
            ids[0]: {"C": [1, 10]},
            ids[1]: {"max_depth": [2, 3, 4]},
            ids[2]: {"var_smoothing": [1e-9, 1e-6]},
        },
        parallel=parallel,
    )
    events = await bench.events(started.orchestration_id)
    ended = await bench.get(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    assert [run.counts.succeeded for run in ended.stages[0].tuning_runs] == [2, 3, 2]
    assert _most_running(events) == (3 if parallel else 1)
    best = await bench.runs.GetBestModel(
        run_service_pb2.GetBestModelRequest(orchestration_id=started.orchestration_id)
    )
    assert [each.model_run_id for each in best.ranking] == ids
    assert best.best.model_type == "svm_classifier"


def _most_running(events: list[event_pb2.Event]) -> int:
    running: set[str] = set()
    most = 0
    for event in events:
        changed = event.stage_changed
        if event.WhichOneof("payload") != "stage_changed" or not changed.tuning_run_id:
            continue
        if changed.state == State.LIFECYCLE_STATE_RUNNING:
            running.add(changed.tuning_run_id)
        else:
            running.discard(changed.tuning_run_id)
        most = max(most, len(running))
    return most


async def test_a_comparison_completes_although_one_model_always_fails(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    ids = [
        await bench.model_run("svm_classifier"),
        await bench.model_run("decision_tree_classifier"),
    ]
    await bench.worker(lambda point: 0.9 if "C" in point else None)
    started = await coordinator.comparison(
        model_run_ids=ids,
        param_grids={ids[0]: {"C": [1, 10]}, ids[1]: {"max_depth": [2, 3, 4]}},
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    lost = ended.stages[0].tuning_runs[1]
    assert (lost.state, lost.reason) == (State.LIFECYCLE_STATE_FAILED, "ALL_TRIALS_FAILED")
    assert "no such luck" in lost.message


async def test_a_stage_whose_trials_all_fail_fails_the_search_and_says_why(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(lambda _: None)
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(), initial_param_grid={"C": [1, 10, 100]}
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_FAILED
    assert ended.counts.failed == 3
    assert "no such luck" in ended.message
    assert [stage.state for stage in ended.stages] == [
        State.LIFECYCLE_STATE_FAILED,
        State.LIFECYCLE_STATE_CANCELLED,
        State.LIFECYCLE_STATE_CANCELLED,
    ]


async def test_a_candidate_that_fails_does_not_stop_the_search(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(lambda point: None if point["C"] == 10.0 else svm_score(point))
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(), param_grid={"C": [0.5, 1, 10, 100.5]}
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    assert (ended.counts.succeeded, ended.counts.failed) == (3, 1)


@pytest.mark.parametrize(
    ("method", "phases"), [("sobol", {"sobol"}), ("tpe", {"startup", "model"})]
)
async def test_a_method_with_a_budget_runs_exactly_that_and_goes_on_when_extended(
    bench: Bench, method: str, phases: set[str]
) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(svm_score)
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(),
        tuning_method=method,
        param_grid={"C": [0.1 * n for n in range(1, 30)], "gamma": [0.001, 0.01, 0.1]},
        n_iter=9,
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED, ended
    assert (ended.counts.succeeded, ended.counts.total) == (9, 9)
    assert ended.stages[0].tuning_runs[0].method_used == method
    await coordinator.extend(started.orchestration_id, additional_trials=4)
    await bench.ended(started.orchestration_id)
    trials = await bench.trials(started.orchestration_id)
    assert len(trials) == 13
    assert {trial.phase for trial in trials} == phases
    digests = {assignment_digest(assignment_from_proto(trial.parameters)) for trial in trials}
    assert len(digests) == 13


@pytest.mark.parametrize("method", ["random_search", "tpe", "local"])
async def test_improvement_is_measured_over_the_current_parameters(
    bench: Bench, method: str
) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(svm_score)
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(),
        tuning_method=method,
        param_grid={"C": [0.1, 1, 10, 100], "gamma": ["scale", 0.001, 0.01]},
        n_iter=8,
        points_to_try=[{"parameters": {"C": 10}}],
        **({"radius": 0.5} if method == "local" else {}),
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED, ended
    assert ended.counts.succeeded == 8
    trials = await bench.trials(started.orchestration_id)
    assert [trial.phase for trial in trials[:2]] == ["baseline", "given"]
    assert assignment_from_proto(trials[0].parameters) == {"C": 1.0, "gamma": "scale"}
    assert assignment_from_proto(trials[1].parameters) == {"C": 10.0, "gamma": "scale"}
    run = ended.stages[0].tuning_runs[0]
    assert run.method_used == method
    assert run.baseline.trial_number == 0
    assert run.baseline.score == trials[0].score
    assert run.baseline.improvement == run.best.score - trials[0].score > 0
    assert len(run.start.points_to_try) == 1


@pytest.mark.parametrize("method", ["bayesian", "tpe"])
async def test_a_space_with_nothing_to_model_falls_back_and_says_so(
    bench: Bench, method: str
) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(svm_score)
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(),
        tuning_method=method,
        param_grid={"C": [1.5]},
    )
    events = await bench.events(started.orchestration_id)
    ended = await bench.get(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    run = ended.stages[0].tuning_runs[0]
    assert (run.method, run.method_used) == (method, "random_search")
    assert run.counts.succeeded == 1
    assert "METHOD_FELL_BACK" in [
        event.notice.reason for event in events if event.WhichOneof("payload") == "notice"
    ]


async def test_a_cross_validation_is_one_trial(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(svm_score)
    started = await coordinator.cross_validation(
        model_run_id=await bench.model_run(), parameters={"C": 10}, scoring_metrics=["accuracy"]
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    (trial,) = await bench.trials(started.orchestration_id)
    assert trial.phase == "fixed"
    assert math.isclose(trial.score, svm_score({"C": 10.0}))


async def test_a_long_grid_runs_every_point_once(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    worker = await bench.worker(svm_score, slots=4)
    values = [round(0.01 * n, 2) for n in range(1, 41)]
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(), param_grid={"C": values, "gamma": values}
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    assert ended.counts.succeeded == 1_600
    assert len(set(worker.finished)) == 1_600
    trials = await bench.trials(started.orchestration_id)
    assert sorted(trial.candidate_index for trial in trials) == [*range(1_600)]
