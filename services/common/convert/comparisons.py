"""Comparisons of trials, to protobuf."""

from __future__ import annotations

from services.common.convert.trials import interval_method_to_proto, intervals_to_proto
from services.core.score_comparison import ScoreComparison
from tuning.v1 import run_service_pb2 as pb


def comparison_to_proto(comparison: ScoreComparison) -> pb.TrialComparison:
    """Encodes how two trials compare; without a test its figures stay absent."""
    test = comparison.test
    return pb.TrialComparison(
        metric=comparison.metric,
        first_mean=comparison.first_mean,
        second_mean=comparison.second_mean,
        difference=comparison.difference,
        differences=comparison.differences,
        interval_method=interval_method_to_proto(comparison.method),
        intervals=intervals_to_proto(comparison.intervals),
        statistic=None if test is None else test.statistic,
        degrees_of_freedom=None if test is None else test.degrees_of_freedom,
        p_value=None if test is None else test.p_value,
    )
