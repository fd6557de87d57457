"""Plans and request keys, to and from protobuf."""

from __future__ import annotations

from services.common.convert.budgets import budget_from_proto, budget_to_proto
from services.common.convert.objectives import evaluation_from_proto, evaluation_to_proto
from services.common.convert.pruning import pruning_from_proto, pruning_to_proto
from services.common.convert.selections import selection_from_proto, selection_to_proto
from services.common.convert.spaces import space_from_proto, space_to_proto
from services.common.convert.start_points import (
    start_points_from_proto,
    start_points_to_proto,
)
from services.common.convert.stopping import stopping_from_proto, stopping_to_proto
from services.core.plan import (
    DEFAULT_EXPLORE,
    DEFAULT_WORKER_CLASS,
    Plan,
    RequestKey,
    StagePlan,
    TuningRunPlan,
)
from services.core.refinement_rules import FIXED
from tuning.v1 import plan_service_pb2 as pb


def request_key_to_proto(key: RequestKey | None) -> pb.RequestKey | None:
    """Encodes a request's identity; None stays absent."""
    if key is None:
        return None
    return pb.RequestKey(rpc=key.rpc, request_id=key.request_id, body_hash=key.body_hash)


def request_key_from_proto(message: pb.RequestKey) -> RequestKey | None:
    """Decodes a request's identity; the empty message is None."""
    if not message.request_id:
        return None
    return RequestKey(rpc=message.rpc, request_id=message.request_id, body_hash=message.body_hash)


def tuning_run_plan_to_proto(plan: TuningRunPlan) -> pb.TuningRunPlan:
    """Encodes one tuning run of a plan."""
    return pb.TuningRunPlan(
        model_run_id=plan.model_run_id,
        model_type=plan.model_type,
        space=space_to_proto(plan.space),
        trial_budget=plan.trial_budget,
        planned_trials=plan.planned_trials,
        total_combinations=plan.total_combinations,
        evaluation=evaluation_to_proto(plan.evaluation),
        stopping=stopping_to_proto(plan.stopping),
        pruning=pruning_to_proto(plan.pruning),
        start=start_points_to_proto(plan.start),
    )


def tuning_run_plan_from_proto(message: pb.TuningRunPlan) -> TuningRunPlan:
    """Decodes one tuning run of a plan."""
    return TuningRunPlan(
        model_run_id=message.model_run_id,
        model_type=message.model_type,
        space=space_from_proto(message.space),
        trial_budget=message.trial_budget if message.HasField("trial_budget") else None,
        planned_trials=message.planned_trials,
        total_combinations=(
            message.total_combinations if message.HasField("total_combinations") else None
        ),
        evaluation=evaluation_from_proto(message.evaluation),
        stopping=stopping_from_proto(message.stopping),
        pruning=pruning_from_proto(message.pruning) if message.HasField("pruning") else None,
        start=start_points_from_proto(message.start),
    )


def stage_plan_to_proto(plan: StagePlan) -> pb.StagePlan:
    """Encodes one stage of a plan."""
    return pb.StagePlan(
        method=plan.method,
        tuning_runs=[tuning_run_plan_to_proto(each) for each in plan.tuning_runs],
        max_active_tuning_runs=plan.max_active_tuning_runs,
        refinement_factor=plan.refinement_factor,
        refinement=plan.refinement,
        explore=plan.explore,
    )


def stage_plan_from_proto(message: pb.StagePlan) -> StagePlan:
    """Decodes one stage of a plan."""
    return StagePlan(
        method=message.method,
        tuning_runs=tuple(tuning_run_plan_from_proto(each) for each in message.tuning_runs),
        max_active_tuning_runs=message.max_active_tuning_runs,
        refinement_factor=(
            message.refinement_factor if message.HasField("refinement_factor") else None
        ),
        refinement=message.refinement or FIXED,
        explore=message.explore if message.HasField("explore") else DEFAULT_EXPLORE,
    )


def plan_to_proto(
    plan: Plan, key: RequestKey | None, spec_hash: bytes
) -> pb.CreateOrchestrationRequest:
    """Encodes a plan as the request that creates it."""
    return pb.CreateOrchestrationRequest(
        key=request_key_to_proto(key),
        workflow=plan.workflow,
        study_name=plan.study_name,
        spec_hash=spec_hash,
        stages=[stage_plan_to_proto(each) for each in plan.stages],
        scoring_metric=plan.scoring_metric,
        cv_folds=plan.cv_folds,
        random_state=plan.random_state,
        max_concurrent_trials=plan.max_concurrent_trials,
        notices=plan.notices,
        budget=budget_to_proto(plan.budget),
        priority=plan.priority,
        worker_class=plan.worker_class,
        stopping=stopping_to_proto(plan.stopping),
        selection=selection_to_proto(plan.selection),
    )


def plan_from_proto(message: pb.CreateOrchestrationRequest) -> Plan:
    """Decodes the plan of a request that creates one."""
    return Plan(
        workflow=message.workflow,
        study_name=message.study_name,
        stages=tuple(stage_plan_from_proto(each) for each in message.stages),
        scoring_metric=message.scoring_metric,
        cv_folds=message.cv_folds,
        random_state=message.random_state,
        max_concurrent_trials=message.max_concurrent_trials,
        notices=tuple(message.notices),
        budget=budget_from_proto(message.budget),
        priority=message.priority,
        worker_class=message.worker_class or DEFAULT_WORKER_CLASS,
        stopping=stopping_from_proto(message.stopping),
        selection=selection_from_proto(message.selection),
    )
