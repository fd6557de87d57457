"""Histories of searches, to protobuf."""

from __future__ import annotations

from services.common.convert.times import time_to_proto
from services.core.history import RunHistory
from tuning.v1 import run_service_pb2 as pb


def run_history_to_proto(history: RunHistory) -> pb.RunHistory:
    """Encodes the history of one tuning run; what is not known stays absent."""
    scores = history.scores
    return pb.RunHistory(
        tuning_run_id=history.tuning_run_id,
        stage_index=history.stage_index,
        model_run_id=history.model_run_id,
        model_type=history.model_type,
        method=history.method,
        scored_trials=scores.count,
        mean=scores.mean,
        std=scores.std,
        best=scores.best,
        expected_improvement=scores.expected_improvement,
        improvements=[
            pb.Improvement(
                trial_number=each.trial_number,
                score=each.score,
                trials_before=each.trials_before,
                finished_at=time_to_proto(each.finished_at),
            )
            for each in scores.improvements
        ],
    )
