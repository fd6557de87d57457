"""Messages as the store would send them, and a server that sends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from tuning.v1 import event_pb2 as event_pb
from tuning.v1 import objective_pb2 as objective_pb
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import run_service_pb2 as run_pb
from tuning.v1 import run_service_pb2_grpc as run_grpc
from tuning.v1 import search_space_pb2 as space_pb
from tuning.v1 import trial_pb2 as trial_pb

ID = "6f1a7c1e-0000-4000-8000-000000000001"
START = 1_700_000_000
METHODS = ("grid_search", "random_search", "bayesian")


def assignment(**values: Any) -> space_pb.Assignment:
    return space_pb.Assignment(values={name: typed(value) for name, value in values.items()})


def typed(value: Any) -> space_pb.ParameterValue:
    if value is None:
        return space_pb.ParameterValue(null_value=0)  # type: ignore[arg-type]  # NULL_VALUE
    if isinstance(value, bool):
        return space_pb.ParameterValue(bool_value=value)
    if isinstance(value, int):
        return space_pb.ParameterValue(int_value=value)
    if isinstance(value, float):
        return space_pb.ParameterValue(float_value=value)
    if isinstance(value, str):
        return space_pb.ParameterValue(string_value=value)
    items = [typed(each) for each in value]
    return space_pb.ParameterValue(tuple_value=space_pb.ParameterTuple(items=items))


def best(score: float = 0.96, number: int = 3) -> orchestration_pb.BestTrial:
    return orchestration_pb.BestTrial(
        trial_number=number,
        tuning_run_id="run-0",
        model_run_id="model-0",
        model_type="random_forest_classifier",
        method="grid_search",
        score=score,
        parameters=assignment(max_depth=None, n_estimators=50, max_features=0.3),
    )


def progressive_search(
    *, totals: Sequence[int] = (4, 3, 2), last_sequence: int = 2
) -> orchestration_pb.Orchestration:
    """A progressive search that has just started."""
    running = orchestration_pb.LIFECYCLE_STATE_RUNNING
    pending = orchestration_pb.LIFECYCLE_STATE_PENDING
    stages = [
        orchestration_pb.Stage(
            index=index,
            method=METHODS[index],
            state=running if index == 0 else pending,
            counts=orchestration_pb.TrialCounts(total=total),
            tuning_runs=[
                orchestration_pb.TuningRun(
                    tuning_run_id=f"run-{index}",
                    orchestration_id=ID,
                    stage_index=index,
                    model_type="random_forest_classifier",
                    method=METHODS[index],
                    state=running if index == 0 else pending,
                    counts=orchestration_pb.TrialCounts(total=total),
                )
            ],
        )
        for index, total in enumerate(totals)
    ]
    return orchestration_pb.Orchestration(
        orchestration_id=ID,
        workflow="progressive_search",
        state=running,
        counts=orchestration_pb.TrialCounts(total=sum(totals)),
        stages=stages,
        last_sequence=last_sequence,
        scoring_metric="accuracy",
        cv_folds=5,
        random_state=42,
        timings=orchestration_pb.Timings(started_at=Timestamp(seconds=START)),
    )


def event(sequence: int, **payload: Any) -> event_pb.Event:
    return event_pb.Event(
        orchestration_id=ID,
        sequence=sequence,
        occurred_at=Timestamp(seconds=START + sequence),
        **payload,
    )


def finished(sequence: int, number: int, run: str = "run-0", score: float = 0.9) -> event_pb.Event:
    return event(
        sequence,
        trial_finished=event_pb.TrialFinished(
            number=number,
            state=trial_pb.TRIAL_STATE_SUCCEEDED,
            score=score,
            split_scores=[score] * 5,
            tuning_run_id=run,
            duration_seconds=1.5,
        ),
    )


def failed(sequence: int, number: int, message: str, run: str = "run-0") -> event_pb.Event:
    return event(
        sequence,
        trial_finished=event_pb.TrialFinished(
            number=number,
            state=trial_pb.TRIAL_STATE_FAILED,
            tuning_run_id=run,
            failure=trial_pb.TrialFailure(kind=trial_pb.FAILURE_KIND_EXCEPTION, message=message),
        ),
    )


def started(sequence: int, number: int, run: str = "run-0") -> event_pb.Event:
    return event(sequence, trial_started=event_pb.TrialStarted(number=number, tuning_run_id=run))


def improved(sequence: int, score: float) -> event_pb.Event:
    return event(sequence, best_improved=event_pb.BestImproved(best=best(score)))


def refinement() -> space_pb.Refinement:
    return space_pb.Refinement(
        refinement_id=1,
        orchestration_id=ID,
        refinement_factor=0.3,
        evidence_trial_numbers=[3, 1, 2],
        best_trial_number=3,
        summary="max_depth narrowed to 4 … 8 around the best",
        parameters=[
            space_pb.ParameterRefinement(
                name="max_depth",
                before=space_pb.Parameter(
                    name="max_depth",
                    int_range=space_pb.IntRange(low=2, high=20),
                    specials=[typed(None)],
                ),
                after=space_pb.Parameter(
                    name="max_depth", int_range=space_pb.IntRange(low=4, high=8)
                ),
                rule="narrowed",
                explanation="the best trials lie between 5 and 7",
            )
        ],
    )


def refined(sequence: int) -> event_pb.Event:
    made = event_pb.RefinementMade(refinement=refinement())
    return event(sequence, refinement_made=made)


def stage(
    sequence: int, index: int, state: orchestration_pb.LifecycleState.ValueType, run: str = ""
) -> event_pb.Event:
    return event(
        sequence,
        stage_changed=event_pb.StageChanged(stage_index=index, tuning_run_id=run, state=state),
    )


def ended(
    sequence: int,
    state: orchestration_pb.LifecycleState.ValueType = orchestration_pb.LIFECYCLE_STATE_COMPLETED,
    message: str = "",
) -> event_pb.Event:
    return event(
        sequence,
        orchestration_changed=event_pb.OrchestrationChanged(
            state=state, final=True, message=message
        ),
    )


def refusal(
    code: grpc.StatusCode, message: str, reason: str, violations: Sequence[tuple[str, str]] = ()
) -> Status:
    """The status the services send with an error."""
    status = Status(code=code.value[0], message=message)
    details: list[Any] = [ErrorInfo(reason=reason, domain="crescendo", metadata={"id": "x"})]
    if violations:
        details.append(
            BadRequest(
                field_violations=[
                    BadRequest.FieldViolation(field=field, description=description)
                    for field, description in violations
                ]
            )
        )
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def refuse(context: grpc.ServicerContext, code: grpc.StatusCode, status: Status) -> None:
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, status.message)


BestAnswer = Callable[
    [run_pb.GetBestModelRequest, grpc.ServicerContext], run_pb.GetBestModelResponse
]


class ScriptedStore(run_grpc.RunServiceServicer):
    """A store with one orchestration and its log; streams drop after so many events, once each.

    Args:
        log: all events, numbered from 1.
        drops: how many events each successive stream sends before it breaks; the last goes to the end.
    """

    def __init__(
        self,
        orchestration: orchestration_pb.Orchestration,
        log: Sequence[event_pb.Event],
        drops: Sequence[int] = (),
    ) -> None:
        self.orchestration = orchestration
        self.log = list(log)
        self.drops = list(drops)
        self.cursors: list[int | None] = []
        self.drop_code = grpc.StatusCode.UNAVAILABLE
        self.best_answer: BestAnswer | None = None

    def WatchOrchestration(
        self, request: run_pb.WatchOrchestrationRequest, context: grpc.ServicerContext
    ) -> Iterator[run_pb.WatchOrchestrationResponse]:
        given = request.HasField("after_sequence")
        self.cursors.append(request.after_sequence if given else None)
        cursor = request.after_sequence
        if not given:
            cursor = self.orchestration.last_sequence
            yield run_pb.WatchOrchestrationResponse(
                snapshot=run_pb.Snapshot(orchestration=self.orchestration)
            )
        left = self.drops.pop(0) if self.drops else len(self.log)
        for each in [each for each in self.log if each.sequence > cursor]:
            if left == 0:
                context.abort(self.drop_code, "the connection broke")
            left -= 1
            yield run_pb.WatchOrchestrationResponse(events=run_pb.EventPage(events=[each]))
            bookmark = run_pb.Bookmark(sequence=each.sequence)
            yield run_pb.WatchOrchestrationResponse(bookmark=bookmark)

    def GetOrchestration(
        self, request: run_pb.GetOrchestrationRequest, context: grpc.ServicerContext
    ) -> run_pb.GetOrchestrationResponse:
        if request.orchestration_id != self.orchestration.orchestration_id:
            text = f"there is no orchestration {request.orchestration_id}"
            code = grpc.StatusCode.NOT_FOUND
            refuse(context, code, refusal(code, text, "NOT_FOUND"))
        return run_pb.GetOrchestrationResponse(orchestration=self.orchestration)

    def ListOrchestrations(
        self, request: run_pb.ListOrchestrationsRequest, context: grpc.ServicerContext
    ) -> run_pb.ListOrchestrationsResponse:
        return run_pb.ListOrchestrationsResponse(orchestrations=[self.orchestration])

    def GetTuningRun(
        self, request: run_pb.GetTuningRunRequest, context: grpc.ServicerContext
    ) -> run_pb.GetTuningRunResponse:
        run = self.orchestration.stages[0].tuning_runs[0]
        return run_pb.GetTuningRunResponse(tuning_run=run)

    def GetBestModel(
        self, request: run_pb.GetBestModelRequest, context: grpc.ServicerContext
    ) -> run_pb.GetBestModelResponse:
        if self.best_answer is not None:
            return self.best_answer(request, context)
        return run_pb.GetBestModelResponse(
            best=self.orchestration.best, scoring_metric="accuracy", complete=True
        )

    def ListTrials(
        self, request: run_pb.ListTrialsRequest, context: grpc.ServicerContext
    ) -> run_pb.ListTrialsResponse:
        """Five trials in pages of two."""
        first = int(request.page_token or 0)
        return run_pb.ListTrialsResponse(
            trials=[trial(number) for number in range(first, min(first + 2, 5))],
            next_page_token=str(first + 2) if first + 2 < 5 else "",
        )

    def ListRefinements(
        self, request: run_pb.ListRefinementsRequest, context: grpc.ServicerContext
    ) -> run_pb.ListRefinementsResponse:
        return run_pb.ListRefinementsResponse(refinements=[refinement()])

    def GetTrial(
        self, request: run_pb.GetTrialRequest, context: grpc.ServicerContext
    ) -> run_pb.GetTrialResponse:
        return run_pb.GetTrialResponse(
            trial=trial(request.number),
            lineage=run_pb.TrialLineage(
                summary="drawn at random, in the space refined around trial 3 by trials 3, 1",
                refinement_id=1,
                evidence_trial_numbers=[3, 1],
                best_trial_number=3,
                refinement_summary="max_depth narrowed",
            ),
        )

    def CompareTrials(
        self, request: run_pb.CompareTrialsRequest, context: grpc.ServicerContext
    ) -> run_pb.CompareTrialsResponse:
        return run_pb.CompareTrialsResponse(comparison=comparison(request.metric or "accuracy"))

    def GetSearchHistory(
        self, request: run_pb.GetSearchHistoryRequest, context: grpc.ServicerContext
    ) -> run_pb.GetSearchHistoryResponse:
        steps = [
            run_pb.Improvement(trial_number=4, score=0.75, trials_before=0),
            run_pb.Improvement(trial_number=7, score=0.875, trials_before=2),
        ]
        return run_pb.GetSearchHistoryResponse(
            tuning_runs=[
                run_pb.RunHistory(
                    stage_index=1,
                    model_type="svm_classifier",
                    method="random_search",
                    scored_trials=9,
                    mean=0.75,
                    std=0.125,
                    best=0.875,
                    expected_improvement=0.0125,
                    improvements=steps,
                ),
                run_pb.RunHistory(stage_index=2, model_type="svm_classifier", method="bayesian"),
            ]
        )


def comparison(metric: str = "accuracy") -> run_pb.TrialComparison:
    """One trial better than another on each of five folds that were made once."""
    return run_pb.TrialComparison(
        metric=metric,
        first_mean=0.9375,
        second_mean=0.875,
        difference=0.0625,
        differences=[0.0625, 0.05, 0.075, 0.0625, 0.0625],
        interval_method=objective_pb.INTERVAL_METHOD_CORRECTED_T_HEURISTIC,
        intervals=[objective_pb.ScoreInterval(level=0.95, low=0.05, high=0.075)],
        statistic=10.5,
        degrees_of_freedom=4,
        p_value=0.00046,
    )


def trial(number: int) -> trial_pb.Trial:
    return trial_pb.Trial(
        number=number,
        state=trial_pb.TRIAL_STATE_SUCCEEDED,
        score=0.9 + number / 100,
        parameters=assignment(max_depth=number, layers=(100, 50)),
    )


@contextmanager
def serving(store: ScriptedStore, port: int = 0) -> Iterator[str]:
    """Serves on loopback; gives the address."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    run_grpc.add_RunServiceServicer_to_server(store, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        server.stop(0).wait()
