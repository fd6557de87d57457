"""What people see."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from crescendo.cli import wording
from crescendo.cli.views import live as live_view
from crescendo.cli.views import results
from crescendo.cli.views.plain import PlainLines
from crescendo.client import decoding, event_decoding
from crescendo.client.errors import Unavailable
from crescendo.client.watching import Interruption
from tests.unit.crescendo import messages
from tests.unit.crescendo.test_progress import progress_after
from tuning.v1 import event_pb2 as event_pb
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import run_service_pb2 as run_pb

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
