"""Histories, the best model and the ranking."""

from __future__ import annotations

from crescendo.client.decoding.orchestrations import best
from crescendo.client.decoding.states import lifecycle_state, timestamp
from crescendo.client.decoding.trials import interval_method, score_intervals, trial
from crescendo.client.model import (
    BestModel,
    Improvement,
    RankedModel,
    RunHistory,
    SelectionMade,
    TrialComparison,
)
from tuning.v1 import run_service_pb2 as run_pb


def run_history(message: run_pb.RunHistory) -> RunHistory:
    """Decodes how a tuning run went."""
    return RunHistory(
        tuning_run_id=message.tuning_run_id,
        stage_index=message.stage_index,
        model_run_id=message.model_run_id,
        model_type=message.model_type,
        method=message.method,
        scored_trials=message.scored_trials,
        mean=message.mean if message.HasField("mean") else None,
        std=message.std if message.HasField("std") else None,
        best=message.best if message.HasField("best") else None,
        expected_improvement=(
            message.expected_improvement if message.HasField("expected_improvement") else None
        ),
        improvements=tuple(
            Improvement(
                trial_number=each.trial_number,
                score=each.score,
                trials_before=each.trials_before,
                finished_at=timestamp(each.finished_at),
            )
            for each in message.improvements
        ),
    )


def best_model(message: run_pb.GetBestModelResponse) -> BestModel:
    """Decodes the best model and the ranking."""
    return BestModel(
        best=best(message.best),
        trial=trial(message.trial),
        ranking=tuple(
            RankedModel(
                rank=each.rank,
                model_run_id=each.model_run_id,
                model_type=each.model_type,
                state=lifecycle_state(each.state),
                best=best(each.best) if each.HasField("best") else None,
                message=each.message,
                selection=_selection_made(each),
            )
            for each in message.ranking
        ),
        scoring_metric=message.scoring_metric,
        complete=message.complete,
        selection=_selection_made(message),
    )


def _selection_made(
    message: run_pb.RankedModel | run_pb.GetBestModelResponse,
) -> SelectionMade | None:
    if not message.HasField("selection"):
        return None
    made = message.selection
    return SelectionMade(
        rule=made.rule,
        best_by_score=best(made.best_by_score),
        standard_error=made.standard_error,
        threshold=made.threshold,
        candidates=made.candidates,
        reason=made.reason,
    )


def comparison(message: run_pb.TrialComparison) -> TrialComparison:
    """Decodes how two trials compare."""
    return TrialComparison(
        metric=message.metric,
        first_mean=message.first_mean,
        second_mean=message.second_mean,
        difference=message.difference,
        differences=tuple(message.differences),
        interval_method=interval_method(message.interval_method),
        intervals=score_intervals(message.intervals),
        statistic=message.statistic if message.HasField("statistic") else None,
        degrees_of_freedom=(
            message.degrees_of_freedom if message.HasField("degrees_of_freedom") else None
        ),
        p_value=message.p_value if message.HasField("p_value") else None,
    )
