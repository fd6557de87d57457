"""Whatever the core can say, protobuf carries there and back unchanged, through bytes."""

from __future__ import annotations

import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.convert.events import event_from_proto, event_to_proto
from services.common.convert.objectives import evaluation_from_proto, evaluation_to_proto
from services.common.convert.plans import plan_from_proto, plan_to_proto
from services.common.convert.pruning import (
    pruning_from_proto,
    pruning_to_proto,
    threshold_from_proto,
    threshold_to_proto,
)
from services.common.convert.runs import orchestration_from_proto, orchestration_to_proto
from services.common.convert.spaces import (
    parameter_from_proto,
    space_from_proto,
    space_to_proto,
)
from services.common.convert.trials import (
    new_trial_from_proto,
    new_trial_to_proto,
    trial_from_proto,
    trial_result_from_proto,
    trial_result_to_proto,
    trial_to_proto,
)
from services.common.convert.values import (
    assignment_from_proto,
    assignment_to_proto,
    json_from_proto,
    json_to_proto,
    value_from_proto,
    value_to_proto,
)
from services.core import event as events
from services.core import run as runs
from services.core.intervals import IntervalMethod
from services.core.objective import EvaluationSpec
from services.core.plan import LifecycleState, Plan, StagePlan, TuningRunPlan
from services.core.pruning import Threshold
from services.core.pruning_settings import (
    ASHA,
    MEDIAN,
    RACING,
    RACING_TESTS,
    Pruning,
    StepKind,
)
from services.core.space import (
    SearchSpace,
    Value,
)
from services.core.start_points import StartPoints
from services.core.stopping import StoppingRules
from services.core.trial import (
    NewTrial,
    SplitScores,
    Trial,
    TrialKey,
    TrialResult,
    TrialState,
)
from tests.unit.common import core_values
from tests.unit.core import strategies
from tuning.v1 import event_pb2, search_space_pb2


def _typed(value: Value) -> object:
    if isinstance(value, tuple):
        return ("tuple", *(_typed(each) for each in value))
    return (type(value), value)


@given(core_values.values)
def test_a_value_keeps_its_type(value: Value) -> None:
    sent = value_to_proto(value).SerializeToString()
    received = value_from_proto(search_space_pb2.ParameterValue.FromString(sent))
    assert _typed(received) == _typed(value)


@given(core_values.assignments)
def test_an_assignment_comes_back(assignment: dict[str, Value]) -> None:
    assert assignment_from_proto(assignment_to_proto(assignment)) == assignment


@given(strategies.searchable_spaces())
def test_conditions_constraints_and_alternatives_come_back_from_protobuf(
    space: SearchSpace,
) -> None:
    assert repr(space_from_proto(space_to_proto(space))) == repr(space)


@given(core_values.spaces)
def test_a_space_comes_back(space: SearchSpace) -> None:
    assert space_from_proto(space_to_proto(space)) == space


def test_a_parameter_without_a_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="no domain"):
        parameter_from_proto(search_space_pb2.Parameter(name="C"))


@given(core_values.evaluations)
def test_an_evaluation_comes_back(spec: EvaluationSpec) -> None:
    assert evaluation_from_proto(evaluation_to_proto(spec)) == spec


@given(core_values.payloads, st.integers(1, 2**62), core_values.moments)
def test_an_event_comes_back(payload: events.Payload, sequence: int, occurred_at: datetime) -> None:
    event = events.Event(
        orchestration_id="o", sequence=sequence, occurred_at=occurred_at, payload=payload
    )
    sent = event_to_proto(event).SerializeToString()
    assert event_from_proto(event_pb2.Event.FromString(sent)) == event


def test_an_event_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no payload"):
        event_from_proto(event_pb2.Event(sequence=7))


@given(
    st.builds(
        Trial,
        orchestration_id=core_values.names,
        number=core_values.counts,
        tuning_run_id=core_values.names,
        stage_index=st.integers(0, 9),
        state=st.sampled_from(TrialState),
        attempt=core_values.counts,
        parameters=core_values.assignments,
        candidate_index=st.one_of(st.none(), core_values.counts),
        phase=core_values.names,
        suggestion_index=core_values.counts,
        suggested_at_sequence=core_values.counts,
        score=st.one_of(st.none(), core_values.floats),
        metrics=core_values.metrics,
        failure=st.one_of(st.none(), core_values.failures),
        worker=core_values.names,
        fit_seconds=core_values.floats,
        score_seconds=core_values.floats,
        queued_at=core_values.moments,
        started_at=st.one_of(st.none(), core_values.moments),
        finished_at=st.one_of(st.none(), core_values.moments),
        prune_decision=st.one_of(st.none(), core_values.prunes),
        splits=core_values.splits,
        interval_method=st.sampled_from(IntervalMethod),
    )
)
def test_a_trial_comes_back(trial: Trial) -> None:
    message = trial_to_proto(trial)
    assert trial_from_proto(message) == trial
    # What is told beside: the rounds of a fit on all rows, and whether the score flatters.
    rounds = sorted(each.best_rounds for each in trial.splits if each.best_rounds is not None)
    if rounds and trial.state is TrialState.SUCCEEDED:
        below, above = rounds[(len(rounds) - 1) // 2], rounds[len(rounds) // 2]
        assert message.final_rounds == (below + above + 1) // 2
    else:
        assert not message.HasField("final_rounds")
    assert message.optimistic == any(each.optimistic for each in trial.splits)


def test_a_missing_secondary_score_travels_as_nan() -> None:
    result = TrialResult(
        trial=TrialKey(orchestration_id="o", number=1, attempt=0),
        state=TrialState.SUCCEEDED,
        metrics=(SplitScores(metric="roc_auc", scores=(0.5, math.nan)),),
    )
    received = trial_result_from_proto(trial_result_to_proto(result))
    assert received.metrics[0].scores[0] == 0.5
    assert math.isnan(received.metrics[0].scores[1])


@given(
    st.builds(
        TrialResult,
        trial=st.builds(
            TrialKey,
            orchestration_id=core_values.names,
            number=core_values.counts,
            attempt=core_values.counts,
        ),
        state=st.sampled_from(TrialState),
        metrics=core_values.metrics,
        failure=st.one_of(st.none(), core_values.failures),
        fit_seconds=core_values.floats,
        score_seconds=core_values.floats,
        duration_seconds=core_values.floats,
        prune_decision=st.one_of(st.none(), core_values.prunes),
        splits=core_values.splits,
        interval_method=st.sampled_from(IntervalMethod),
    )
)
def test_a_result_comes_back(result: TrialResult) -> None:
    assert trial_result_from_proto(trial_result_to_proto(result)) == result


@given(
    st.builds(
        NewTrial,
        parameters=core_values.assignments,
        candidate_index=st.one_of(st.none(), core_values.counts),
        phase=core_values.names,
        suggestion_index=core_values.counts,
        suggested_at_sequence=core_values.counts,
    )
)
def test_a_new_trial_comes_back(trial: NewTrial) -> None:
    assert new_trial_from_proto(new_trial_to_proto(trial)) == trial


@given(core_values.spaces, core_values.evaluations)
def test_a_plan_comes_back(space: SearchSpace, evaluation: EvaluationSpec) -> None:
    plan = Plan(
        workflow="progressive_search",
        study_name="s",
        stages=(
            StagePlan(
                method="bayesian",
                tuning_runs=(
                    TuningRunPlan(
                        model_run_id="m",
                        model_type="svm_classifier",
                        space=space,
                        trial_budget=None,
                        planned_trials=3,
                        total_combinations=None,
                        evaluation=evaluation,
                        stopping=StoppingRules(target_score=0.0),
                        start=StartPoints(baseline={"C": 1.0}, points_to_try=({"C": 2.0},)),
                    ),
                ),
                max_active_tuning_runs=1,
                refinement_factor=0.3,
                refinement="adaptive",
                explore=0.0,
            ),
        ),
        scoring_metric="accuracy",
        cv_folds=5,
        random_state=42,
        max_concurrent_trials=0,
        notices=("A: b",),
        stopping=StoppingRules(plateau_trials=7, min_improvement=0.25),
        selection=core_values.SELECTION,
    )
    assert plan_from_proto(plan_to_proto(plan, None, b"")) == plan


@given(core_values.spaces, st.one_of(st.none(), core_values.bests), core_values.moments)
def test_an_orchestration_comes_back(
    space: SearchSpace, best: runs.BestTrial | None, moment: datetime
) -> None:
    counts = runs.TrialCounts(
        total=8, queued=1, running=1, succeeded=2, failed=1, pruned=1, cancelled=1
    )
    timings = runs.Timings(
        created_at=moment, started_at=moment, duration_seconds=1.5, remaining_seconds=0.0
    )
    run = runs.TuningRun(
        tuning_run_id="t",
        orchestration_id="o",
        stage_index=0,
        model_run_id="m",
        model_type="ridge",
        method="grid_search",
        method_used="grid_search",
        state=LifecycleState.RUNNING,
        reason="",
        message="",
        space=space,
        original_space=space,
        trial_budget=None,
        total_combinations=8,
        counts=counts,
        best=best,
        timings=timings,
        metrics=("r2",),
        cv_folds=5,
        random_state=42,
        start=StartPoints(points_to_try=({"C": None}, {"C": "x"})),
        baseline=runs.BaselineTrial(trial_number=3, score=None if best is None else best.score),
    )
    stage = runs.Stage(
        index=0,
        method="grid_search",
        state=LifecycleState.RUNNING,
        reason="",
        message="",
        best_score=None if best is None else best.score,
        counts=counts,
        timings=timings,
        tuning_runs=(run,),
        max_active_tuning_runs=0,
        refinement_factor=None,
    )
    orchestration = runs.Orchestration(
        orchestration_id="o",
        workflow="tuning",
        state=LifecycleState.RUNNING,
        reason="",
        message="",
        study_name="s",
        counts=counts,
        stages=(stage,),
        best=best,
        last_sequence=9,
        timings=timings,
        scoring_metric="r2",
        cv_folds=5,
        random_state=42,
        max_concurrent_trials=3,
        stopping=StoppingRules(plateau_trials=7, target_score=-0.5),
        selection=core_values.SELECTION,
    )
    message = orchestration_to_proto(orchestration)
    assert message.percentage == 62.5
    assert orchestration_from_proto(message) == orchestration


def test_json_values_come_back_with_every_number_a_float() -> None:
    written = {"a": [1, 2.5, None, True, "x"], "b": {"c": 3}}
    assert json_from_proto(json_to_proto(written)) == {
        "a": [1.0, 2.5, None, True, "x"],
        "b": {"c": 3.0},
    }


def test_something_without_a_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        json_to_proto(object())


@given(
    st.one_of(
        st.builds(Pruning, keep=st.integers(1, 1_000), keep_ties=st.booleans()),
        st.builds(
            Pruning,
            rule=st.just(MEDIAN),
            step_kind=st.sampled_from(StepKind),
            warmup_steps=st.integers(1, 9),
            startup_trials=st.integers(1, 9),
            interval_steps=st.integers(1, 9),
        ),
        st.builds(
            Pruning,
            rule=st.just(ASHA),
            step_kind=st.sampled_from(StepKind),
            max_steps=st.integers(5, 50),
            reduction_factor=st.integers(2, 9),
            grace_period=st.integers(1, 5),
        ),
        st.builds(
            Pruning,
            rule=st.just(RACING),
            max_steps=st.integers(8, 50),
            level=st.floats(0.001, 0.5),
            test=st.sampled_from(RACING_TESTS),
            min_splits=st.integers(5, 7),
        ),
    ),
    st.builds(
        Threshold,
        score=core_values.floats,
        place=st.one_of(
            st.none(),
            st.tuples(st.one_of(core_values.counts, st.just(2**63 - 1)), core_values.counts),
        ),
        keep=st.integers(1, 1_000),
    ),
)
def test_pruning_and_its_thresholds_come_back(pruning: Pruning, threshold: Threshold) -> None:
    message = pruning_to_proto(pruning)
    assert message is not None
    assert pruning_from_proto(message) == pruning
    assert threshold_from_proto(threshold_to_proto(threshold, "r")) == threshold
