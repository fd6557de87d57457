"""The store over real gRPC: every service, streams, errors with their details, draining."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from typing import Any

from grpc_health.v1 import health_pb2

from services.common.convert.events import event_from_proto
from services.common.convert.plans import plan_to_proto
from services.common.convert.values import assignment_to_proto
from services.common.rpc.client import open_channel
from services.core.errors import (
    CursorOutOfRange,
    InvalidRequest,
    NotFound,
    Unavailable,
    WrongState,
)
from services.store.adapters.postgres.database import Database
from services.store.app import running_store
from services.store.settings import StoreSettings
from tests.integration.store.scenario import Scenario, until
from tests.integration.store.stubs import SECONDS, Stubs, error_of
from tuning.v1 import (
    objective_pb2,
    orchestration_pb2,
    plan_service_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
    task_messages_pb2,
    trial_pb2,
    trial_service_pb2,
    trial_service_pb2_grpc,
)


async def test_health_follows_the_database(stubs: Stubs) -> None:
    answer = await stubs.health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def _create(stubs: Stubs, scenario: Scenario, **options: Any) -> Any:
    plan = await scenario.plan(**options)
    request = plan_to_proto(plan, scenario.key(), b"spec")
    created = await stubs.plans.CreateOrchestration(request, timeout=SECONDS)
    found = await stubs.plans.FindRequest(
        plan_service_pb2.FindRequestRequest(key=request.key), timeout=SECONDS
    )
    assert found.orchestration.orchestration_id == created.orchestration.orchestration_id
    return created.orchestration


async def test_one_search_from_plan_to_best_model(stubs: Stubs, scenario: Scenario) -> None:
    orchestration = await _create(stubs, scenario, planned=6)
    identifier = orchestration.orchestration_id
    run_id = orchestration.stages[0].tuning_runs[0].tuning_run_id
    watch = stubs.runs.WatchOrchestration(
        run_service_pb2.WatchOrchestrationRequest(orchestration_id=identifier, after_sequence=0),
        timeout=SECONDS,
    )
    plans, trials = stubs.plans, stubs.trials
    acquired = await plans.AcquireSearchers(
        plan_service_pb2.AcquireSearchersRequest(coordinator_id="c", max_new=5), timeout=SECONDS
    )
    (lease,) = acquired.leases
    assert (lease.tuning_run_id, acquired.lease.seconds) == (run_id, 10)
    created = await plans.CreateTrials(
        plan_service_pb2.CreateTrialsRequest(
            tuning_run_id=run_id,
            epoch=lease.epoch,
            trials=[
                plan_service_pb2.NewTrial(
                    parameters=assignment_to_proto({"C": 0.5 * index, "kernel": "rbf"}),
                    candidate_index=index,
                    phase="grid",
                    suggestion_index=index,
                    suggested_at_sequence=2,
                )
                for index in range(6)
            ],
        ),
        timeout=SECONDS,
    )
    assert (created.created, created.remaining) == (6, 0)
    session = await trials.RegisterSession(
        trial_service_pb2.RegisterSessionRequest(worker_name="w", slots=6), timeout=SECONDS
    )
    assert (session.lease.seconds, session.beat_interval.seconds) == (35, 10)
    spec = await trials.GetEvaluationSpec(
        trial_service_pb2.GetEvaluationSpecRequest(tuning_run_id=run_id), timeout=SECONDS
    )
    assert list(spec.spec.metrics) == ["accuracy"]
    handed_out = await plans.HandOutTrials(
        plan_service_pb2.HandOutTrialsRequest(coordinator_id="c"), timeout=SECONDS
    )
    assert [each.batch.version for each in handed_out.hand_outs] == [1] * 6
    recalled = await plans.RecallTrials(
        plan_service_pb2.RecallTrialsRequest(
            batches=[each.batch for each in handed_out.hand_outs[3:]]
        ),
        timeout=SECONDS,
    )
    assert recalled.recalled == 3
    claimed = await trials.ClaimTrials(
        trial_service_pb2.ClaimTrialsRequest(
            session_id=session.session_id,
            claim_id=str(uuid.uuid4()),
            orchestration_id=identifier,
            tuning_run_id=run_id,
            trials=[task_messages_pb2.TrialReference(number=number) for number in range(6)],
        ),
        timeout=SECONDS,
    )
    assert [each.parameters.values["C"].float_value for each in claimed.trials] == [
        0.0,
        0.5,
        1.0,
        1.5,
        2.0,
        2.5,
    ]
    keys = [
        trial_service_pb2.TrialAttempt(orchestration_id=identifier, number=number)
        for number in range(6)
    ]
    reported = await trials.ReportFolds(
        trial_service_pb2.ReportFoldsRequest(
            session_id=session.session_id,
            folds=[trial_service_pb2.FoldReport(trial=keys[0], split=0, score=0.25)],
        ),
        timeout=SECONDS,
    )
    assert not reported.orders
    told = await trials.ReportSteps(
        trial_service_pb2.ReportStepsRequest(
            session_id=session.session_id,
            steps=[
                trial_service_pb2.StepReport(
                    trial=keys[0], kind=objective_pb2.STEP_KIND_FOLD, step=2, value=0.5
                ),
                trial_service_pb2.StepReport(
                    trial=keys[0], kind=objective_pb2.STEP_KIND_BOOSTING_ROUND, step=7
                ),
                # An attempt that never was.
                trial_service_pb2.StepReport(
                    trial=trial_service_pb2.TrialAttempt(
                        orchestration_id=identifier, number=1, attempt=3
                    ),
                    step=1,
                ),
            ],
        ),
        timeout=SECONDS,
    )
    assert [each.trial.attempt for each in told.orders] == [3]
    assert not told.stopped
    assert not told.thresholds
    await trials.ReturnTrials(
        trial_service_pb2.ReturnTrialsRequest(session_id=session.session_id, trials=keys[5:]),
        timeout=SECONDS,
    )
    finished = await trials.FinishTrials(
        trial_service_pb2.FinishTrialsRequest(
            session_id=session.session_id,
            results=[
                trial_service_pb2.TrialResult(
                    trial=key,
                    state=trial_pb2.TRIAL_STATE_SUCCEEDED,
                    metrics=[
                        objective_pb2.MetricScores(
                            metric="accuracy", split_scores=[0.1 * key.number, 0.3]
                        )
                    ],
                    duration_seconds=0.01,
                )
                for key in keys
            ],
        ),
        timeout=SECONDS,
    )
    # The one handed back has another attempt now; its success comes late and still counts.
    assert [each.outcome for each in finished.answers] == [
        trial_service_pb2.FINISH_OUTCOME_DONE
    ] * 6
    status = await stubs.runs.GetOrchestration(
        run_service_pb2.GetOrchestrationRequest(orchestration_id=identifier), timeout=SECONDS
    )
    closed = await plans.CloseTuningRun(
        plan_service_pb2.CloseTuningRunRequest(
            tuning_run_id=run_id,
            epoch=lease.epoch,
            as_of_sequence=status.orchestration.last_sequence,
            state=orchestration_pb2.LIFECYCLE_STATE_COMPLETED,
            reason="SPACE_EXHAUSTED",
        ),
        timeout=SECONDS,
    )
    assert closed.orchestration.state == orchestration_pb2.LIFECYCLE_STATE_COMPLETED
    events = [
        event_from_proto(event)
        async for part in watch
        if part.WhichOneof("content") == "events"
        for event in part.events.events
    ]
    assert [each.sequence for each in events] == list(
        range(1, closed.orchestration.last_sequence + 1)
    )
    assert {each.orchestration_id for each in events} == {identifier}
    best = await stubs.runs.GetBestModel(
        run_service_pb2.GetBestModelRequest(orchestration_id=identifier), timeout=SECONDS
    )
    assert (best.best.trial_number, best.complete) == (5, True)
    assert list(best.trial.metrics[0].split_scores) == [0.5, 0.3]
    assert best.trial.metrics[0].mean == best.best.score == 0.4
    listed = await stubs.runs.ListTrials(
        run_service_pb2.ListTrialsRequest(
            orchestration_id=identifier,
            order_by=run_service_pb2.TRIAL_ORDER_SCORE,
            page_size=2,
        ),
        timeout=SECONDS,
    )
    assert [each.number for each in listed.trials] == [5, 4]
    assert listed.next_page_token
    compared = await stubs.runs.CompareTrials(
        run_service_pb2.CompareTrialsRequest(
            orchestration_id=identifier, first_number=5, second_number=0
        ),
        timeout=SECONDS,
    )
    assert list(compared.comparison.differences) == [0.5, 0.0]
    # These workers did not say how many rows they split.
    assert not compared.comparison.HasField("p_value")
    await plans.ReleaseSearchers(
        plan_service_pb2.ReleaseSearchersRequest(coordinator_id="c", tuning_run_ids=[run_id]),
        timeout=SECONDS,
    )
    await scenario.check(identifier)


async def test_wrong_ids_states_and_cursors_have_their_codes(
    stubs: Stubs, scenario: Scenario
) -> None:
    orchestration = await _create(stubs, scenario)
    identifier = orchestration.orchestration_id
    runs = stubs.runs
    missing = run_service_pb2.GetOrchestrationRequest(orchestration_id="x")
    assert isinstance(await error_of(runs.GetOrchestration(missing, timeout=SECONDS)), NotFound)
    best = run_service_pb2.GetBestModelRequest(orchestration_id=identifier)
    assert isinstance(await error_of(runs.GetBestModel(best, timeout=SECONDS)), WrongState)
    listing = run_service_pb2.ListOrchestrationsRequest(page_token="nonsense")
    assert isinstance(
        await error_of(runs.ListOrchestrations(listing, timeout=SECONDS)), InvalidRequest
    )
    states = run_service_pb2.ListTrialsRequest(
        orchestration_id=identifier, states=[trial_pb2.TRIAL_STATE_UNSPECIFIED]
    )
    error = await error_of(runs.ListTrials(states, timeout=SECONDS))
    assert error.violations[0].field == "states[0]"
    watch = runs.WatchOrchestration(
        run_service_pb2.WatchOrchestrationRequest(
            orchestration_id=identifier, after_sequence=10_000
        ),
        timeout=SECONDS,
    )
    error = await error_of(watch.read())
    assert isinstance(error, CursorOutOfRange)
    assert error.metadata["last_sequence"] == str(orchestration.last_sequence)


async def test_a_session_stream_brings_orders_and_breaking_it_shortens_the_lease(
    stubs: Stubs, scenario: Scenario, database: Database
) -> None:
    orchestration, _, session = await scenario.started(count=1)
    listening = stubs.trials.ListenSession(
        trial_service_pb2.ListenSessionRequest(session_id=session), timeout=SECONDS
    )
    assert not (await listening.read()).orders
    await stubs.plans.ChangeOrchestration(
        plan_service_pb2.ChangeOrchestrationRequest(
            orchestration_id=orchestration.orchestration_id,
            change=plan_service_pb2.ORCHESTRATION_CHANGE_CANCEL,
        ),
        timeout=SECONDS,
    )
    async with asyncio.timeout(60):
        (order,) = (await listening.read()).orders
    assert order.kind == trial_service_pb2.ORDER_KIND_CANCEL
    assert order.trial.number == 0
    listening.cancel()

    async def lease_is_short() -> bool:
        async with database.reading() as connection:
            left: float = await connection.fetchval(
                "SELECT extract(epoch FROM lease_until - now())::float8 FROM crescendo.sessions"
                " WHERE session_id = $1",
                session,
            )
        return left <= 5

    await until(lease_is_short)
    beat = trial_service_pb2.HeartbeatRequest(session_id=session)
    await stubs.trials.Heartbeat(beat, timeout=SECONDS)
    assert not await lease_is_short()
    await stubs.trials.CloseSession(
        trial_service_pb2.CloseSessionRequest(session_id=session), timeout=SECONDS
    )
    error = await error_of(stubs.trials.Heartbeat(beat, timeout=SECONDS))
    assert (type(error), error.reason) == (WrongState, "SESSION_ENDED")


async def test_a_store_that_stops_ends_its_streams_and_keeps_sessions(
    settings: StoreSettings, scenario: Scenario, database: Database
) -> None:
    orchestration, _, session = await scenario.started(count=1)
    async with AsyncExitStack() as clients:
        async with running_store(settings) as store:
            public = await clients.enter_async_context(open_channel(store.address))
            inner = await clients.enter_async_context(open_channel(store.internal_address))
            runs: Any = run_service_pb2_grpc.RunServiceStub(public)
            trials: Any = trial_service_pb2_grpc.TrialServiceStub(inner)
            listening = trials.ListenSession(
                trial_service_pb2.ListenSessionRequest(session_id=session)
            )
            watch = runs.WatchOrchestration(
                run_service_pb2.WatchOrchestrationRequest(
                    orchestration_id=orchestration.orchestration_id
                )
            )
            await listening.read()
            await watch.read()
        # The store has drained: both streams have ended, with a reason to come back.
        for stream in (listening, watch):
            error = await error_of(stream.read())
            assert (type(error), error.reason) == (Unavailable, "DRAINING")
    async with database.reading() as connection:
        left = await connection.fetchval(
            "SELECT extract(epoch FROM lease_until - now())::float8 FROM crescendo.sessions"
        )
    assert left > 20
