"""Each trial knows what its assignment rests on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.core.lineage import Lineage, lineage_of
from services.core.plan import LifecycleState
from services.core.refinement import Refinement
from services.core.run import BaselineTrial, Timings, TrialCounts, TuningRun
from services.core.space import FloatRange, Parameter, SearchSpace
from services.core.start_points import StartPoints
from services.core.trial import Trial, TrialState

SPACE = SearchSpace(parameters=(Parameter(name="C", domain=FloatRange(low=0, high=9)),))
RUN = TuningRun(
    tuning_run_id="second",
    orchestration_id="o",
    stage_index=1,
    model_run_id="m",
    model_type="svm_classifier",
    method="tpe",
    method_used="tpe",
    state=LifecycleState.RUNNING,
    reason="",
    message="",
    space=SPACE,
    original_space=SPACE,
    trial_budget=5,
    total_combinations=None,
    counts=TrialCounts(),
    best=None,
    timings=Timings(),
    metrics=("accuracy",),
    cv_folds=5,
    random_state=1,
    start=StartPoints(baseline={"C": 1.0}, points_to_try=({"C": 2.0}, {"C": 3.0})),
    baseline=BaselineTrial(trial_number=9, score=0.5),
)
REFINEMENTS = [
    Refinement(
        refinement_id=number,
        target_tuning_run_id=target,
        refinement_factor=0.3,
        evidence_trial_numbers=(7, 4, 2),
        best_trial_number=7,
        parameters=(),
        space_before=SPACE,
        space_after=SPACE,
        summary="C narrowed",
    )
    for number, target in ((1, "other"), (2, "second"))
]


def traced(
    phase: str,
    index: int = 0,
    refinements: list[Refinement] | None = None,
    copied_from: int | None = None,
) -> Lineage:
    trial = Trial(
        orchestration_id="o",
        number=20 + index,
        tuning_run_id="second",
        stage_index=1,
        state=TrialState.QUEUED,
        attempt=0,
        parameters={"C": 2.0},
        candidate_index=3,
        phase=phase,
        suggestion_index=index,
        suggested_at_sequence=41,
        copied_from=copied_from,
    )
    return lineage_of(trial, RUN, REFINEMENTS if refinements is None else refinements)


@pytest.mark.parametrize("phase", ["grid", "random", "sobol", "startup", "model", "repeat"])
def test_points_of_a_refined_space_rest_on_the_trials_it_was_refined_by(phase: str) -> None:
    found = traced(phase)
    assert found.refinement is REFINEMENTS[1]
    assert found.summary.endswith(", in the space refined around trial 7 by trials 7, 4, 2")
    assert traced(phase, refinements=REFINEMENTS[:1]).refinement is None


@pytest.mark.parametrize("phase", ["explore", "baseline", "given"])
def test_points_of_the_original_bounds_and_of_people_rest_on_none(phase: str) -> None:
    assert traced(phase, 1).refinement is None


def test_the_words_say_what_a_point_was() -> None:
    assert traced("grid", refinements=[]).summary == "point 3 of the grid"
    assert traced("model", refinements=[]).summary == (
        "suggested by tpe from the results up to event 41"
    )
    assert traced("something_new", refinements=[]).summary == "something_new"


def test_a_copy_says_whose_result_it_has() -> None:
    told = "a repeat, for nothing in the space was left untried"
    copy = "; it has the result of trial 7 and was not run"
    assert traced("repeat", refinements=[]).summary == told
    assert traced("repeat", refinements=[], copied_from=7).summary == told + copy
    assert traced("repeat", copied_from=7).summary.endswith("by trials 7, 4, 2" + copy)


def test_points_to_try_are_counted_behind_the_baseline() -> None:
    assert (traced("given", 1).point_to_try, traced("given", 2).point_to_try) == (0, 1)
    assert traced("given", 2).summary == "point 2 of those to be tried first"
    assert traced("random").point_to_try is None


def test_a_local_search_moves_away_from_the_baseline() -> None:
    for phase in ("one_at_a_time", "joint"):
        assert traced(phase).baseline_trial_number == 9
    assert traced("model").baseline_trial_number is None


def test_long_evidence_is_cut_in_the_words_alone() -> None:
    long = replace(REFINEMENTS[1], evidence_trial_numbers=tuple(range(14)))
    found = traced("random", refinements=[long])
    assert found.summary.endswith("0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 4 more")
    assert found.refinement == long
