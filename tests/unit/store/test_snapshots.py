"""Snapshots of large plans are told in short; whoever follows the events misses nothing in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from crescendo.client import event_decoding
from crescendo.client.progress import Progress
from services.common.convert.runs import orchestration_to_proto
from services.core.plan import LifecycleState
from services.core.run import BestTrial, Orchestration, Stage, Timings, TrialCounts, TuningRun
from services.core.space import Choices, Parameter, SearchSpace
from services.store.adapters.grpc_servicer.snapshots import MAX_WHOLE_BYTES, snapshot_to_proto
from services.store.service.watch import Snapshot

_NOW = datetime(2030, 1, 1, tzinfo=UTC)
_TIMINGS = Timings(created_at=_NOW, started_at=_NOW, ended_at=None, duration_seconds=1.0)
_COUNTS = TrialCounts(total=100_000, queued=1, running=2, succeeded=40_000, failed=30_000)
# The most a plan may hold.
_MOST_STAGES, _MOST_MODELS = 20, 100


def _space(values: int) -> SearchSpace:
    choices = tuple(f"choice number {number}" for number in range(values))
    return SearchSpace(parameters=(Parameter(name="C", domain=Choices(values=choices)),))


def _snapshot(
    *, stages: int, models: int, space: SearchSpace, message: str = "", best: bool = True
) -> Snapshot:
    score = BestTrial(
        trial_number=99_999,
        tuning_run_id="0" * 36,
        model_run_id="1" * 36,
        model_type="logistic_regression",
        method="progressive_search",
        score=0.987654321,
        parameters={"C": "choice number 1"},
    )
    run = TuningRun(
        tuning_run_id="",
        orchestration_id="2" * 36,
        stage_index=0,
        model_run_id="1" * 36,
        model_type="gradient_boosting_classifier",
        method="random_search",
        method_used="random_search",
        state=LifecycleState.RUNNING,
        reason="",
        message=message,
        space=space,
        original_space=space,
        trial_budget=100_000,
        total_combinations=1_000_000,
        counts=_COUNTS,
        best=score if best else None,
        timings=_TIMINGS,
        metrics=("accuracy", "f1_weighted"),
        cv_folds=5,
        random_state=42,
    )
    stage = Stage(
        index=0,
        method="random_search",
        state=LifecycleState.RUNNING,
        reason="",
        message=message,
        best_score=0.9,
        counts=_COUNTS,
        timings=_TIMINGS,
        tuning_runs=(),
        max_active_tuning_runs=0,
        refinement_factor=0.3,
    )
    orchestration = Orchestration(
        orchestration_id="2" * 36,
        workflow="progressive_search",
        state=LifecycleState.RUNNING,
        reason="",
        message=message,
        study_name="a study",
        counts=_COUNTS,
        stages=tuple(
            replace(
                stage,
                index=index,
                tuning_runs=tuple(
                    replace(run, stage_index=index, tuning_run_id=f"{index:018}{model:018}")
                    for model in range(models)
                ),
            )
            for index in range(stages)
        ),
        best=score if best else None,
        last_sequence=123,
        timings=_TIMINGS,
        scoring_metric="accuracy",
        cv_folds=5,
        random_state=42,
        max_concurrent_trials=0,
    )
    return Snapshot(orchestration=orchestration, epoch="3" * 36)


def test_an_ordinary_snapshot_is_whole() -> None:
    snapshot = _snapshot(stages=3, models=4, space=_space(10))
    message = snapshot_to_proto(snapshot)
    assert not message.shortened
    assert message.orchestration == orchestration_to_proto(snapshot.orchestration)
    assert message.ByteSize() <= MAX_WHOLE_BYTES


@pytest.mark.parametrize(
    ("stages", "models", "values"), [(3, 50, 10), (1, 10, 5_000), (1, 1, 5_000)]
)
def test_a_large_snapshot_keeps_to_the_bound(stages: int, models: int, values: int) -> None:
    snapshot = _snapshot(stages=stages, models=models, space=_space(values))
    assert orchestration_to_proto(snapshot.orchestration).ByteSize() > MAX_WHOLE_BYTES
    message = snapshot_to_proto(snapshot)
    assert message.shortened
    assert message.ByteSize() <= MAX_WHOLE_BYTES


def test_the_largest_plan_there_is_fits_into_one_message() -> None:
    message = snapshot_to_proto(
        _snapshot(
            stages=_MOST_STAGES, models=_MOST_MODELS, space=_space(10), message="it failed " * 500
        )
    )
    assert message.ByteSize() < 2 * 1024 * 1024
    quiet = snapshot_to_proto(_snapshot(stages=_MOST_STAGES, models=_MOST_MODELS, space=_space(10)))
    assert quiet.ByteSize() < 400 * _MOST_STAGES * _MOST_MODELS


@pytest.mark.parametrize("best", [True, False])
def test_a_shortened_snapshot_says_where_every_tuning_run_stands(best: bool) -> None:
    snapshot = _snapshot(stages=2, models=100, space=_space(10), best=best)
    whole = event_decoding.snapshot(
        type(snapshot_to_proto(snapshot))(
            orchestration=orchestration_to_proto(snapshot.orchestration), epoch=snapshot.epoch
        )
    )
    short = event_decoding.snapshot(snapshot_to_proto(snapshot))
    assert (whole.shortened, short.shortened) == (False, True)
    assert (short.sequence, short.epoch) == (whole.sequence, whole.epoch)
    assert short.orchestration.best == whole.orchestration.best
    assert short.orchestration.counts == whole.orchestration.counts
    # What a client shows of a search that runs is the same.
    assert Progress.of(short).stages == Progress.of(whole).stages
