"""What people see."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from crescendo.cli import wording
from crescendo.cli.views import live as live_view
from crescendo.cli.views import overview, results
from crescendo.cli.views.plain import PlainLines
from crescendo.client import decoding, event_decoding
from crescendo.client.errors import Unavailable
from crescendo.client.watching import Interruption
from tests.unit.crescendo import messages
from tests.unit.crescendo.test_progress import progress_after
from tuning.v1 import event_pb2 as event_pb
from tuning.v1 import objective_pb2 as objective_pb
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import run_service_pb2 as run_pb
from tuning.v1 import trial_pb2 as trial_pb

COMPLETED = orchestration_pb.LIFECYCLE_STATE_COMPLETED
MOMENT = live_view.Moment(
    elapsed_seconds=12.3, remaining_seconds=65.0, on_leaving="Ctrl-C detaches"
)


def _text(shown: RenderableType, width: int = 110) -> str:
    sink = io.StringIO()
    Console(file=sink, width=width, markup=False, highlight=False).print(shown)
    return sink.getvalue()


def test_the_live_view_shows_stages_best_refinement_and_time() -> None:
    progress = progress_after(
        messages.started(3, 0),
        messages.finished(4, 0, score=0.95),
        messages.improved(5, 0.96),
        messages.refined(6),
        messages.started(7, 1),
        messages.event(8, notice=event_pb.Notice(message="folds above the smallest class")),
    )
    text = _text(live_view.render(progress, MOMENT))
    for part in (
        f"Progressive search  {messages.ID}  running  12 s, about 1 min 05 s left, 1 running",
        "●  grid search",
        "1/4",
        "best 0.95000",
        "○  random search",
        "○  bayesian",
        "accuracy 0.96000  (random_forest_classifier, trial 3, grid search)",
        "max_depth=null  max_features=0.3  n_estimators=50",
        "max_depth narrowed to 4 … 8 around the best",
        "folds above the smallest class",
        "Ctrl-C detaches",
    ):
        assert part in text


def test_the_live_view_says_that_the_stream_broke() -> None:
    interruption = Interruption(
        error=Unavailable("the store does not answer at 127.0.0.1:1"),
        attempt=2,
        delay_seconds=0.3,
        after_sequence=5,
    )
    moment = live_view.Moment(elapsed_seconds=1, remaining_seconds=None, interruption=interruption)
    text = _text(live_view.render(progress_after(), moment), width=200)
    assert "the store does not answer at 127.0.0.1:1; trying again (attempt 2)" in text
    assert "no trial has ended yet" in text


def test_brackets_in_messages_are_shown_as_they_are() -> None:
    progress = progress_after(messages.failed(3, 0, "alpha must be in [0, 1], got [bold]"))
    assert "alpha must be in [0, 1], got [bold]" in _text(live_view.render(progress, MOMENT))


def test_a_comparison_has_a_row_per_model() -> None:
    whole = messages.progressive_search(totals=(4,))
    other = orchestration_pb.TuningRun(
        tuning_run_id="run-b",
        model_type="svm_classifier",
        state=orchestration_pb.LIFECYCLE_STATE_FAILED,
        message="all trials failed",
        counts=orchestration_pb.TrialCounts(total=6, completed=6, failed=6),
    )
    whole.stages[0].tuning_runs.append(other)
    text = _text(live_view.render(progress_after(whole=whole), MOMENT))
    assert "●  random_forest_classifier" in text
    assert "✘  svm_classifier" in text
    assert "6/6" in text
    assert "all trials failed" in text


def test_plain_lines_say_what_changed() -> None:
    events = [
        *(messages.finished(number, number) for number in range(3, 5)),
        messages.improved(5, 0.97),
        messages.failed(6, 9, "no convergence"),
        messages.refined(7),
        messages.stage(8, 0, COMPLETED),
        messages.stage(9, 1, orchestration_pb.LIFECYCLE_STATE_RUNNING),
        messages.ended(10, orchestration_pb.LIFECYCLE_STATE_FAILED, "all trials failed"),
    ]
    parameters = "max_depth=null  max_features=0.3  n_estimators=50"
    lines = PlainLines(progress_after())
    said = list(lines.opening())
    for each in events:
        item = event_decoding.event(each)
        lines.progress.apply(item)
        said += lines.lines(item)
    assert said == [
        f"progressive search {messages.ID}: running",
        "stage 1 (grid search): running, 0/4 trials",
        "stage 2 (random search): pending, 0/3 trials",
        "stage 3 (bayesian): pending, 0/2 trials",
        "stage 1 (grid search): 1/4 trials",
        "stage 1 (grid search): 2/4 trials",
        f"best so far: 0.97000 (random_forest_classifier, trial 3, grid search) {parameters}",
        "trial 9 failed (exception): no convergence",
        "stage 1 (grid search): 3/4 trials",
        "refined: max_depth narrowed to 4 … 8 around the best",
        "stage 1 (grid search): completed, best 0.90000",
        "stage 2 (random search): running, 3 trials",
        "failed: all trials failed",
    ]


def test_a_refinement_is_shown_in_words_with_what_it_rests_on() -> None:
    text = _text(results.refinement(decoding.refinement(messages.refinement())))
    assert "Refinement 1: max_depth narrowed to 4 … 8 around the best" in text
    assert "factor 0.3; rests on trials 3, 1, 2" in text
    assert "2 … 20, null" in text
    assert "the best trials lie between 5 and 7" in text


def test_the_best_model_and_the_ranking() -> None:
    response = run_pb.GetBestModelResponse(
        best=messages.best(),
        scoring_metric="accuracy",
        complete=False,
        ranking=[
            run_pb.RankedModel(rank=1, model_type="random_forest_classifier", best=messages.best()),
            run_pb.RankedModel(rank=0, model_type="svm_classifier", message="all trials failed"),
        ],
    )
    text = _text(results.best(decoding.best_model(response)))
    assert "random_forest_classifier" in text
    assert "0.96000" in text
    assert "all trials failed" in text
    assert "the search is not complete" in text


def test_a_selected_model_is_shown_with_the_best_by_score() -> None:
    made = orchestration_pb.SelectionMade(
        rule="one_standard_error",
        best_by_score=messages.best(0.97, 8),
        standard_error=0.01,
        threshold=0.96,
        candidates=3,
        reason="trial 3 is the simplest (lower max_depth) of 3",
    )
    response = run_pb.GetBestModelResponse(
        best=messages.best(), scoring_metric="accuracy", complete=True, selection=made
    )
    text = " ".join(_text(results.best(decoding.best_model(response)), width=200).split())
    assert "selected trial 3 is the simplest (lower max_depth) of 3" in text
    assert "best by score 0.97000, trial 8: max_depth=null" in text


def test_train_scores_have_a_column_where_they_were_asked_for() -> None:
    trial = messages.trial(1)
    trial.metrics.add(
        metric="accuracy",
        split_scores=[0.75, 0.5],
        mean=0.625,
        train_scores=[1.0, 0.9],
        train_mean=0.95,
    )
    found = decoding.trial(trial).metrics
    text = " ".join(_text(results.metrics(found)).split())
    assert "train mean per split accuracy 0.62500" in text
    assert "0.95000 0.75 0.5" in text
    del trial.metrics[0].train_scores[:]
    assert "train" not in _text(results.metrics(decoding.trial(trial).metrics))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (3725, "1 h 02 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.0, "1.0"),
        (1e-05, "1e-05"),
        (0.30000000000000004, "0.3"),
        ("rbf", "rbf"),
        ("5", '"5"'),
        ("null", '"null"'),
        ((100, 50), "(100, 50)"),
    ],
)
def test_values_are_written_as_they_are_typed(value: object, text: str) -> None:
    assert wording.value(value) == text  # type: ignore[arg-type]  # parametrised


def test_status_shows_what_is_used_of_a_budget_and_why_it_ended() -> None:
    whole = messages.progressive_search()
    whole.state = COMPLETED
    whole.reason = "DEADLINE_REACHED"
    whole.message = "extend it with additional_seconds to go on"
    whole.counts.completed, whole.counts.failed, whole.counts.running = 5, 1, 2
    whole.budget.max_trials = 20
    whole.budget.max_failed_trials = 3
    whole.budget.max_seconds = 600
    whole.budget.max_cost = 2
    whole.budget.price_per_hour = 3.6
    whole.budget.trial_timeout_seconds = 30
    whole.used.active_seconds = 95
    whole.used.cost = 0.125
    whole.used.reserved_cost = 0.06
    whole.priority = -5
    whole.worker_class = "gpu"
    text = _text(overview.status(decoding.orchestration(whole)), width=140)
    for part in (
        "completed, deadline reached: extend it with additional_seconds to go on",
        "7 of 20 trials, 1 of 3 failed, 1 min 35 s of 10 min 00 s, cost 0.125 of 2 and 0.06 held, 30 s a trial",
        "-5",
        "gpu",
    ):
        assert part in text


def test_status_of_one_without_limits_speaks_of_none() -> None:
    whole = messages.progressive_search()
    whole.state, whole.reason = COMPLETED, "COMPLETED"
    text = _text(overview.status(decoding.orchestration(whole)))
    assert "budget" not in text
    assert "completed," not in text


def test_status_shows_the_baseline_and_the_improvement_over_it() -> None:
    whole = messages.progressive_search()
    run = whole.stages[0].tuning_runs[0]
    run.baseline.CopyFrom(
        orchestration_pb.BaselineTrial(trial_number=0, score=0.91, improvement=0.04)
    )
    text = _text(overview.status(decoding.orchestration(whole)))
    assert f"0.91000  {run.model_type} as it is now, trial 0, improved by 0.04000" in text
    run.baseline.ClearField("score")
    run.baseline.ClearField("improvement")
    assert "as it is now" not in _text(overview.status(decoding.orchestration(whole)))


def test_status_says_how_many_fits_pruning_saved() -> None:
    whole = messages.progressive_search()
    for stage in whole.stages:
        stage.tuning_runs[0].pruning.rule = "lossless"
        stage.tuning_runs[0].pruning.keep = 3 - stage.index
        stage.tuning_runs[0].fits_saved = 700 >> stage.index
    text = _text(overview.status(decoding.orchestration(whole)))
    assert "stage 1: lossless, keeps the best 3; 700 fits saved" in text
    assert "stage 3: lossless, keeps the best 1; 175 fits saved" in text
    assert text.count("pruning") == 1
    assert "fits saved" not in _text(
        overview.status(decoding.orchestration(messages.progressive_search()))
    )


def test_status_says_by_which_rule_each_stage_stops_where_they_differ() -> None:
    whole = messages.progressive_search()
    first, _, last = (stage.tuning_runs[0] for stage in whole.stages)
    first.pruning.CopyFrom(
        orchestration_pb.Pruning(rule="median", warmup_steps=1, startup_trials=5, max_steps=5)
    )
    last.pruning.CopyFrom(orchestration_pb.Pruning(rule="lossless", keep=1))
    first.fits_saved = 1
    text = _text(overview.status(decoding.orchestration(whole)), width=200)
    assert "stage 1: median (after 1 and 5 other trials), may stop the best; 1 fit saved" in text
    assert "stage 2:" not in text
    assert "stage 3: lossless, keeps the best 1; 0 fits saved" in text


def test_status_says_which_models_of_a_stage_have_steps_of_their_own() -> None:
    whole = messages.progressive_search()
    runs = whole.stages[0].tuning_runs
    runs.add().CopyFrom(runs[0])
    runs[0].model_type, runs[1].model_type = "xgboost_classifier", "lightgbm_classifier"
    for run, rounds in zip(runs, (60, 90), strict=True):
        run.pruning.CopyFrom(
            orchestration_pb.Pruning(
                rule="asha", step_kind=objective_pb.STEP_KIND_BOOSTING_ROUND, max_steps=rounds
            )
        )
    text = _text(overview.status(decoding.orchestration(whole)), width=300)
    assert "of 60 boosting rounds), may stop the best, of xgboost_classifier;" in text
    assert "of 90 boosting rounds), may stop the best, of lightgbm_classifier;" in text


def test_a_pruned_trial_says_why_it_was_stopped() -> None:
    trial = trial_pb.Trial(state=trial_pb.TRIAL_STATE_PRUNED)
    trial.prune_decision.rule = "lossless"
    trial.prune_decision.step = 2
    trial.prune_decision.value = 0.75
    trial.prune_decision.cut_off = 0.9
    text = _text(results.trials([decoding.trial(trial)]), width=140)
    assert "pruned" in text
    assert "lossless: after 2 folds at most 0.75" in text
    assert "kept from 0.9" in text


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("median", "median: after 2 folds at 0.75000, the median of 3 others is 0.90000"),
        ("asha", "asha: at the rung of 2 folds at 0.75000, goes on from 0.90000, beside 3 others"),
        ("racing", "racing: after 2 folds worse than the best so far, p = 0.75 (a heuristic)"),
        ("new", "new: after 2 folds at 0.75000, against 0.90000"),
    ],
)
def test_a_trial_that_a_guess_stopped_says_what_it_was_compared_with(rule: str, words: str) -> None:
    trial = trial_pb.Trial(state=trial_pb.TRIAL_STATE_PRUNED)
    decision = trial_pb.PruneDecision(rule=rule, step=2, value=0.75, cut_off=0.9, peers=3)
    trial.prune_decision.CopyFrom(decision)
    assert words in _text(results.trials([decoding.trial(trial)]), width=200)


def test_status_says_by_which_figures_a_guess_stops() -> None:
    whole = messages.progressive_search()
    for stage in whole.stages:
        stage.tuning_runs[0].pruning.CopyFrom(
            orchestration_pb.Pruning(rule="asha", reduction_factor=3, grace_period=1, max_steps=9)
        )
    text = _text(overview.status(decoding.orchestration(whole)))
    assert "asha (one in 3 goes on, first after 1), may stop the best; 0 fits saved" in text


def test_a_copy_is_told_with_the_trial_whose_result_it_has() -> None:
    copied = messages.trial(7)
    assert "the result of" not in _text(results.trials([decoding.trial(copied)]), width=200)
    copied.copied_from = 3
    text = _text(results.trials([decoding.trial(copied)]), width=200)
    assert "the result of trial 3, not run again" in text


def test_rounds_left_out_are_told_as_trials_and_not_as_fits() -> None:
    whole = messages.progressive_search()
    for stage in whole.stages:
        run = stage.tuning_runs[0]
        run.pruning.CopyFrom(
            orchestration_pb.Pruning(
                rule="asha", step_kind=objective_pb.STEP_KIND_BOOSTING_ROUND, max_steps=60
            )
        )
        run.counts.pruned = 2
    text = _text(overview.status(decoding.orchestration(whole)), width=200)
    assert f"{2 * len(whole.stages)} trials stopped early" in text
    assert "fits saved" not in text
