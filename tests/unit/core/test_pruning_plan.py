"""What stages keep for the refinements that follow them, and what models learn of stopped trials."""

from __future__ import annotations

from dataclasses import replace

from services.core.estimates import with_estimates
from services.core.objective import EvaluationSpec
from services.core.presets import Terms, TuningSubject, progressive_search, single_tuning
from services.core.pruning_settings import Pruning
from services.core.refinement import top_set
from services.core.space import Grid, Parameter, SearchSpace
from services.core.trial import SplitScores, Trial, TrialState

SPACE = SearchSpace.of(
    [
        Parameter(name="C", domain=Grid(values=tuple(float(each) for each in range(1, 11)))),
        Parameter(name="gamma", domain=Grid(values=(0.1, 0.2, 0.3, 0.4))),
    ]
)
SUBJECT = TuningSubject(
    model_run_id="m",
    model_type="svm_classifier",
    space=SPACE,
    evaluation=EvaluationSpec(
        dataset_id="d", dataset_hash="0", model_type="svm_classifier", metrics=("accuracy",)
    ),
)


def trial(number: int, *scores: float, state: TrialState = TrialState.SUCCEEDED) -> Trial:
    return Trial(
        orchestration_id="o",
        number=number,
        tuning_run_id="r",
        stage_index=0,
        state=state,
        attempt=0,
        parameters={"C": float(number)},
        candidate_index=number,
        phase="grid",
        suggestion_index=number,
        suggested_at_sequence=0,
        score=sum(scores) / len(scores) if state is TrialState.SUCCEEDED else None,
        metrics=(SplitScores(metric="accuracy", scores=scores),) if scores else (),
    )


def test_a_lone_search_keeps_what_was_asked_for() -> None:
    plan = single_tuning(
        subject=SUBJECT, method="grid_search", n_iter=1, terms=Terms(pruning=Pruning(keep=2))
    )
    assert plan.stages[0].tuning_runs[0].pruning == Pruning(keep=2)
    unpruned = single_tuning(subject=SUBJECT, method="grid_search", n_iter=1)
    assert unpruned.stages[0].tuning_runs[0].pruning is None


def test_stages_before_a_refinement_keep_all_it_rests_on_ties_too() -> None:
    plan = progressive_search(
        subject=SUBJECT,
        refinement_factor=0.3,
        n_iter_random=30,
        n_iter_bayesian=20,
        terms=Terms(pruning=Pruning()),
    )
    # A tenth of the 40 points of the grid, then of these and 30 more.
    assert [each.tuning_runs[0].pruning for each in plan.stages] == [
        Pruning(keep=4, keep_ties=True),
        Pruning(keep=7, keep_ties=True),
        Pruning(keep=1),
    ]


def test_the_top_is_a_share_of_all_that_were_looked_at() -> None:
    complete = [trial(number, 0.9 - number / 100) for number in range(8)]
    assert len(top_set(complete, searched=8)) == 3
    assert len(top_set(complete, searched=70)) == 7
    assert len(top_set(complete, searched=500)) == 8


def test_models_see_stopped_trials_by_their_distance_to_the_incumbent() -> None:
    best = trial(0, 0.5, 1.0, 0.9)
    worse = trial(1, 0.5, 0.6, 0.7)
    stopped = trial(2, 0.25, 0.75, state=TrialState.PRUNED)
    estimated = with_estimates([best, worse, stopped])[2]
    assert best.score is not None
    assert estimated.score == best.score - 0.25
    assert with_estimates([best, worse]) == [best, worse]


def test_stopped_trials_are_left_out_where_nothing_can_be_said_of_them() -> None:
    stopped = trial(0, 0.25, state=TrialState.PRUNED)
    assert with_estimates([stopped]) == [stopped]
    untold = replace(stopped, metrics=())
    assert with_estimates([trial(1, 0.5), untold])[1] == untold
