"""Columns that several kinds of rows have, and what is written to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.common.convert.plans import stage_plan_from_proto, stage_plan_to_proto
from services.common.convert.pruning import decision_to_proto, pruning_from_proto
from services.common.convert.selections import selection_from_proto, selection_to_proto
from services.common.convert.stopping import stopping_from_proto, stopping_to_proto
from services.common.convert.trials import (
    interval_method_to_proto,
    scores_to_proto,
    splits_to_proto,
)
from services.core.budget import UNLIMITED, Budget
from services.core.plan import StagePlan
from services.core.pruning import Leader
from services.core.pruning_settings import Pruning
from services.core.run import TrialCounts
from services.core.selection import BY_SCORE, Selection
from services.core.stopping import NO_RULES, StoppingRules
from services.store.ports.records import TrialEnd
from tuning.v1 import orchestration_pb2, plan_service_pb2, trial_pb2

# The columns of an orchestration's limits are named as the attributes of Budget.
_LIMITS = (
    "max_trials",
    "max_failed_trials",
    "max_seconds",
    "max_cost",
    "price_per_hour",
    "trial_timeout_seconds",
)


def counts_of(row: Any) -> TrialCounts:
    """Reads the counters of an orchestration or tuning run."""
    return TrialCounts(
        total=row["planned"],
        queued=row["queued"],
        running=row["running"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        pruned=row["pruned"],
        cancelled=row["cancelled"],
    )


def counters(counts: TrialCounts) -> tuple[int, ...]:
    """Gives counters in the order of their columns, `planned` first."""
    return (
        counts.total,
        counts.queued,
        counts.running,
        counts.succeeded,
        counts.failed,
        counts.pruned,
        counts.cancelled,
    )


def budget_of(row: Any) -> Budget:
    """Reads the limits of an orchestration."""
    limits = {name: row[name] for name in _LIMITS if row[name] is not None}
    return Budget(**limits) if limits else UNLIMITED


def limits(budget: Budget) -> tuple[float | None, ...]:
    """Gives limits in the order of their columns."""
    return tuple(getattr(budget, name) for name in _LIMITS)


def pruning_of(row: Any) -> Pruning | None:
    """Reads how trials are stopped early."""
    encoded = row["pruning_proto"]
    if encoded is None:
        return None
    return pruning_from_proto(orchestration_pb2.Pruning.FromString(encoded))


def leader_columns(leaders: Sequence[Leader]) -> tuple[list[float], list[int]]:
    """Gives the best complete trials in the order of their columns."""
    return (
        [each.score for each in leaders],
        [number for each in leaders for number in each.place],
    )


def encoded_scores(end: TrialEnd) -> bytes | None:
    """Encodes split scores, with what the splits took, for `metrics_proto`; None without any."""
    if not end.metrics and end.prune_decision is None:
        return None
    return trial_pb2.Trial(
        metrics=scores_to_proto(end.metrics),
        splits=splits_to_proto(end.splits),
        interval_method=interval_method_to_proto(end.interval_method),
        prune_decision=decision_to_proto(end.prune_decision),
    ).SerializeToString()


def encoded_rules(rules: StoppingRules) -> bytes | None:
    """Encodes stopping rules for `stopping_proto`; None without any."""
    message = stopping_to_proto(rules)
    return None if message is None else message.SerializeToString()


def decoded_rules(encoded: bytes | None) -> StoppingRules:
    """Decodes `stopping_proto`."""
    if encoded is None:
        return NO_RULES
    return stopping_from_proto(orchestration_pb2.StoppingRules.FromString(encoded))


def encoded_selection(selection: Selection) -> bytes | None:
    """Encodes how the result is selected for `selection_proto`; None for the best by score."""
    message = selection_to_proto(selection)
    return None if message is None else message.SerializeToString()


def decoded_selection(encoded: bytes | None) -> Selection:
    """Decodes `selection_proto`."""
    if encoded is None:
        return BY_SCORE
    return selection_from_proto(orchestration_pb2.Selection.FromString(encoded))


def encoded_stage(stage: StagePlan) -> bytes:
    """Encodes what was asked of a stage for `plan_proto`."""
    return stage_plan_to_proto(replace(stage, tuning_runs=())).SerializeToString()


def decoded_stage(encoded: bytes | None) -> StagePlan:
    """Decodes what was asked of a stage."""
    # None in rows from before there was such a column: all defaults.
    return stage_plan_from_proto(plan_service_pb2.StagePlan.FromString(encoded or b""))
