"""Plans and request keys, to and from protobuf."""

from __future__ import annotations

from services.common.convert.objectives import evaluation_from_proto, evaluation_to_proto
from services.common.convert.spaces import space_from_proto, space_to_proto
from services.core.plan import Plan, RequestKey, StagePlan, TuningRunPlan
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
    )


def stage_plan_to_proto(plan: StagePlan) -> pb.StagePlan:
    """Encodes one stage of a plan."""
    return pb.StagePlan(
        method=plan.method,
        tuning_runs=[tuning_run_plan_to_proto(each) for each in plan.tuning_runs],
        max_active_tuning_runs=plan.max_active_tuning_runs,
        refinement_factor=plan.refinement_factor,
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
    )
