"""Messages of the stubs → the library's own values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from crescendo.client.model import (
    Best,
    BestModel,
    Column,
    Counts,
    Dataset,
    Failure,
    Metric,
    ModelRun,
    Orchestration,
    ParameterRefinement,
    RankedModel,
    Refinement,
    SpaceParameter,
    Stage,
    State,
    Step,
    Timings,
    Trial,
    TuningRun,
)
from crescendo.client.values import parameters_from_proto, python_value, value_from_proto
from tuning.v1 import dataset_pb2 as dataset_pb
from tuning.v1 import model_pb2 as model_pb
from tuning.v1 import objective_pb2 as objective_pb
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import run_service_pb2 as run_pb
from tuning.v1 import search_space_pb2 as space_pb
from tuning.v1 import trial_pb2 as trial_pb


def lifecycle_state(number: orchestration_pb.LifecycleState.ValueType) -> State:
    """Gives a state as a word: `running` for LIFECYCLE_STATE_RUNNING."""
    name = orchestration_pb.LifecycleState.Name(number)
    return name.removeprefix("LIFECYCLE_STATE_").lower()


def trial_state(number: trial_pb.TrialState.ValueType) -> State:
    """Gives a trial's state as a word."""
    return trial_pb.TrialState.Name(number).removeprefix("TRIAL_STATE_").lower()


def failure_kind(number: trial_pb.FailureKind.ValueType) -> str:
    """Gives a failure's kind as a word."""
    return trial_pb.FailureKind.Name(number).removeprefix("FAILURE_KIND_").lower()


def timestamp(message: Timestamp) -> datetime | None:
    """Gives a time in UTC; None for one that was never set."""
    if not message.seconds and not message.nanos:
        return None
    return message.ToDatetime(tzinfo=UTC)


def counts(message: orchestration_pb.TrialCounts) -> Counts:
    """Decodes counts."""
    return Counts(
        total=message.total,
        completed=message.completed,
        queued=message.queued,
        running=message.running,
        succeeded=message.succeeded,
        failed=message.failed,
        pruned=message.pruned,
        cancelled=message.cancelled,
    )


def best(message: orchestration_pb.BestTrial) -> Best:
    """Decodes a best trial."""
    return Best(
        trial_number=message.trial_number,
        score=message.score,
        parameters=parameters_from_proto(message.parameters),
        method=message.method,
        model_type=message.model_type,
        model_run_id=message.model_run_id,
        tuning_run_id=message.tuning_run_id,
    )


def timings(message: orchestration_pb.Timings) -> Timings:
    """Decodes timings."""
    known = message.HasField("remaining_seconds")
    return Timings(
        created_at=timestamp(message.created_at),
        started_at=timestamp(message.started_at),
        ended_at=timestamp(message.ended_at),
        duration_seconds=message.duration_seconds,
        remaining_seconds=message.remaining_seconds if known else None,
    )


def space(message: space_pb.SearchSpace) -> tuple[SpaceParameter, ...]:
    """Decodes a search space."""
    return tuple(space_parameter(each) for each in message.parameters)


def space_parameter(message: space_pb.Parameter) -> SpaceParameter:
    """Decodes one parameter of a space."""
    specials = tuple(value_from_proto(each) for each in message.specials)
    kind = message.WhichOneof("domain") or ""
    if kind in ("float_range", "int_range"):
        domain = message.float_range if kind == "float_range" else message.int_range
        return SpaceParameter(
            name=message.name,
            kind=kind,
            low=domain.low,
            high=domain.high,
            log=domain.log,
            values=specials,
        )
    if kind == "fixed":
        values: tuple[space_pb.ParameterValue, ...] = (message.fixed,)
    else:
        listed = message.choices if kind == "choices" else message.grid
        values = tuple(listed.values)
    return SpaceParameter(
        name=message.name,
        kind=kind,
        values=(*(value_from_proto(each) for each in values), *specials),
    )


def tuning_run(message: orchestration_pb.TuningRun) -> TuningRun:
    """Decodes a tuning run."""
    finite = message.HasField("total_combinations")
    return TuningRun(
        tuning_run_id=message.tuning_run_id,
        orchestration_id=message.orchestration_id,
        stage_index=message.stage_index,
        model_run_id=message.model_run_id,
        model_type=message.model_type,
        method=message.method,
        method_used=message.method_used,
        state=lifecycle_state(message.state),
        reason=message.reason,
        message=message.message,
        space=space(message.space),
        original_space=space(message.original_space),
        total_combinations=message.total_combinations if finite else None,
        counts=counts(message.counts),
        best=best(message.best) if message.HasField("best") else None,
        timings=timings(message.timings),
        metrics=tuple(message.metrics),
    )


def stage(message: orchestration_pb.Stage) -> Stage:
    """Decodes a stage."""
    return Stage(
        index=message.index,
        method=message.method,
        state=lifecycle_state(message.state),
        reason=message.reason,
        message=message.message,
        best_score=message.best_score if message.HasField("best_score") else None,
        counts=counts(message.counts),
        timings=timings(message.timings),
        tuning_runs=tuple(tuning_run(each) for each in message.tuning_runs),
    )


def orchestration(message: orchestration_pb.Orchestration) -> Orchestration:
    """Decodes an orchestration."""
    return Orchestration(
        orchestration_id=message.orchestration_id,
        workflow=message.workflow,
        state=lifecycle_state(message.state),
        reason=message.reason,
        message=message.message,
        study_name=message.study_name,
        counts=counts(message.counts),
        percentage=message.percentage,
        stages=tuple(stage(each) for each in message.stages),
        best=best(message.best) if message.HasField("best") else None,
        last_sequence=message.last_sequence,
        timings=timings(message.timings),
        scoring_metric=message.scoring_metric,
        cv_folds=message.cv_folds,
        random_state=message.random_state,
        max_concurrent_trials=message.max_concurrent_trials,
    )


def metrics(messages: Iterable[objective_pb.MetricScores]) -> tuple[Metric, ...]:
    """Decodes scores per metric."""
    return tuple(
        Metric(
            metric=each.metric,
            split_scores=tuple(each.split_scores),
            mean=each.mean if each.HasField("mean") else None,
            std=each.std if each.HasField("std") else None,
            median=each.median if each.HasField("median") else None,
            min=each.min if each.HasField("min") else None,
            max=each.max if each.HasField("max") else None,
        )
        for each in messages
    )


def failure(message: trial_pb.TrialFailure) -> Failure:
    """Decodes a failure."""
    return Failure(kind=failure_kind(message.kind), message=message.message)


def trial(message: trial_pb.Trial) -> Trial:
    """Decodes a trial."""
    return Trial(
        number=message.number,
        stage_index=message.stage_index,
        state=trial_state(message.state),
        score=message.score if message.HasField("score") else None,
        parameters=parameters_from_proto(message.parameters),
        phase=message.phase,
        metrics=metrics(message.metrics),
        failure=failure(message.failure) if message.HasField("failure") else None,
        worker=message.worker,
        attempt=message.attempt,
        fit_seconds=message.fit_seconds,
        score_seconds=message.score_seconds,
        candidate_index=message.candidate_index if message.HasField("candidate_index") else None,
        tuning_run_id=message.tuning_run_id,
        queued_at=timestamp(message.queued_at),
        started_at=timestamp(message.started_at),
        finished_at=timestamp(message.finished_at),
    )


def refinement(message: space_pb.Refinement) -> Refinement:
    """Decodes a refinement."""
    return Refinement(
        refinement_id=message.refinement_id,
        source_tuning_run_id=message.source_tuning_run_id,
        target_tuning_run_id=message.target_tuning_run_id,
        refinement_factor=message.refinement_factor,
        evidence_trial_numbers=tuple(message.evidence_trial_numbers),
        best_trial_number=message.best_trial_number,
        parameters=tuple(
            ParameterRefinement(
                name=each.name,
                before=space_parameter(each.before),
                after=space_parameter(each.after),
                rule=each.rule,
                explanation=each.explanation,
            )
            for each in message.parameters
        ),
        summary=message.summary,
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
            )
            for each in message.ranking
        ),
        scoring_metric=message.scoring_metric,
        complete=message.complete,
    )


def dataset(message: dataset_pb.Dataset) -> Dataset:
    """Decodes a dataset."""
    return Dataset(
        dataset_id=message.dataset_id,
        name=message.name,
        task=dataset_pb.Task.Name(message.task).removeprefix("TASK_").lower(),
        target_column=message.target_column,
        row_count=message.row_count,
        columns=tuple(
            Column(name=each.name, type=each.type, missing_count=each.missing_count)
            for each in message.columns
        ),
        classes={each.label: each.count for each in message.classes},
        content_hash=message.content_hash,
        size_bytes=message.size_bytes,
        built_in=message.built_in,
        created_at=timestamp(message.created_at),
    )


def model_run(message: model_pb.ModelRun) -> ModelRun:
    """Decodes a model run."""
    return ModelRun(
        model_run_id=message.model_run_id,
        experiment=message.experiment,
        dataset_id=message.dataset_id,
        model_type=message.model_type,
        fixed_parameters={
            name: python_value(message.fixed_parameters[name])
            for name in sorted(message.fixed_parameters)
        },
        steps=tuple(_step(each) for each in message.preprocessing),
        created_at=timestamp(message.created_at),
    )


def _step(message: objective_pb.PreprocessingStep) -> Step:
    columns = objective_pb.ColumnKind.Name(message.columns).removeprefix("COLUMN_KIND_").lower()
    return Step(
        type=message.type,
        name=message.name,
        parameters={
            name: python_value(message.parameters[name]) for name in sorted(message.parameters)
        },
        columns="" if columns == "unspecified" else columns,
    )
