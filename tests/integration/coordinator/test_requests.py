"""Requests over the wire: what clients see when they are wrong, repeated or named."""

from __future__ import annotations

import uuid

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from services.common.rpc.status import from_rpc_error
from services.core.errors import AlreadyExists, InvalidRequest, NotFound
from tests.integration.coordinator.conftest import Bench, State
from tuning.v1 import run_service_pb2


async def count_of_orchestrations(bench: Bench) -> int:
    listed = await bench.runs.ListOrchestrations(run_service_pb2.ListOrchestrationsRequest())
    return len(listed.orchestrations)


async def test_with_the_store_away_clients_are_told_so_and_no_address(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    model_run_id = await bench.model_run()
    await bench.stop_store()
    with pytest.raises(AioRpcError) as refusal:
        await coordinator.cross_validation(model_run_id=model_run_id)
    assert refusal.value.code() is StatusCode.UNAVAILABLE
    assert refusal.value.details() == "the store cannot be reached now; retry"
    assert "127.0.0.1" not in repr(refusal.value.trailing_metadata())


async def test_every_violation_reaches_the_client_and_nothing_is_created(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    with pytest.raises(AioRpcError) as refusal:
        await coordinator.progressive(
            model_run_id=await bench.model_run(),
            initial_param_grid={"C": [], "gama": [1], "kernel": ["rbf", 3]},
            refinement_factor="NaN",
            cv_folds=51,
            scoring_metric="r2",
            n_iter_random=-1,
            request_id="me",
        )
    error = from_rpc_error(refusal.value)
    assert isinstance(error, InvalidRequest)
    assert {each.field for each in error.violations} == {
        'initial_param_grid["C"]',
        'initial_param_grid["gama"]',
        'initial_param_grid["kernel"][1]',
        "refinement_factor",
        "cv_folds",
        "scoring_metric",
        "n_iter_random",
        "request_id",
    }
    assert await count_of_orchestrations(bench) == 0


@pytest.mark.parametrize("model_run_id", ["x", "00000000-0000-0000-0000-000000000000"])
async def test_an_unknown_model_run_is_not_found(bench: Bench, model_run_id: str) -> None:
    coordinator = await bench.coordinator()
    for call in (
        coordinator.tuning(model_run_id=model_run_id),
        coordinator.progressive(model_run_id=model_run_id),
        coordinator.cross_validation(model_run_id=model_run_id),
        coordinator.comparison(model_run_ids=[model_run_id]),
    ):
        with pytest.raises(AioRpcError) as refusal:
            await call
        error = from_rpc_error(refusal.value)
        assert isinstance(error, NotFound)
        assert model_run_id in str(error)


async def test_a_comparison_over_different_data_is_refused(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    ids = [
        await bench.model_run(),
        await bench.model_run(dataset="sklearn:wine"),
        await bench.model_run("ridge", dataset="sklearn:diabetes"),
    ]
    with pytest.raises(AioRpcError) as refusal:
        await coordinator.comparison(model_run_ids=ids)
    error = from_rpc_error(refusal.value)
    assert isinstance(error, InvalidRequest)
    assert [each.field for each in error.violations] == ["model_run_ids[1]", "model_run_ids[2]"]


async def test_a_repeated_request_is_one_search_and_a_changed_one_is_refused(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    body = {"model_run_id": await bench.model_run(), "param_grid": {"C": [1, 10]}}
    request_id = str(uuid.uuid4())
    first = await coordinator.tuning(**body, request_id=request_id)
    again = await coordinator.tuning(**body, request_id=request_id)
    assert again.orchestration_id == first.orchestration_id
    with pytest.raises(AioRpcError) as refusal:
        await coordinator.tuning(**body, n_iter=3, request_id=request_id)
    assert isinstance(from_rpc_error(refusal.value), AlreadyExists)
    assert await count_of_orchestrations(bench) == 1


async def test_a_study_name_gives_the_study_or_is_taken(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    body = {"model_run_id": await bench.model_run(), "param_grid": {"C": [1, 10]}}
    first = await coordinator.tuning(**body, study_name="wine cellar")
    again = await coordinator.tuning(**body, study_name="wine cellar")
    assert again.orchestration_id == first.orchestration_id
    with pytest.raises(AioRpcError) as refusal:
        await coordinator.tuning(**(body | {"cv_folds": 3}), study_name="wine cellar")
    assert isinstance(from_rpc_error(refusal.value), AlreadyExists)


async def test_a_preview_shows_the_plan_and_creates_nothing(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    shown = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid={"C": [0.5, 1.5], "gamma": ["scale", 0.1]},
        n_iter_random=7,
        validate_only=True,
    )
    assert shown.orchestration_id == ""
    assert shown.state == State.LIFECYCLE_STATE_PENDING
    assert [stage.counts.total for stage in shown.stages] == [4, 7, 30]
    assert shown.stages[0].tuning_runs[0].total_combinations == 4
    assert await count_of_orchestrations(bench) == 0
