"""Requests no honest client sends: each is refused with a reason, none is an internal error."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from services.core.errors import AlreadyExists, InvalidRequest
from services.store.adapters.postgres.database import Database
from services.store.app import UseCases
from services.store.ports.results import TrialFilter, TrialOrder
from services.store.service import pages
from tests.integration.store.scenario import Scenario
from tests.integration.store.stubs import SECONDS, Stubs, error_of
from tuning.v1 import (
    dataset_service_pb2,
    model_service_pb2,
    run_service_pb2,
    trial_pb2,
)

_FOUR_MIB = 4 * 1024 * 1024


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
async def test_numbers_that_are_none_are_refused_with_a_request_id_too(
    stubs: Stubs, number: float
) -> None:
    request = model_service_pb2.CreateModelRunRequest(
        dataset_id="sklearn:iris", model_type="svm_classifier", request_id=str(uuid.uuid4())
    )
    request.fixed_parameters["C"].number_value = number
    for _ in range(2):
        error = await error_of(stubs.models.CreateModelRun(request, timeout=SECONDS))
        assert isinstance(error, InvalidRequest)
        assert [each.field for each in error.violations] == ['fixed_parameters["C"]']
    request.fixed_parameters["C"].number_value = 1.0
    await stubs.models.CreateModelRun(request, timeout=SECONDS)
    request.fixed_parameters["C"].number_value = number
    error = await error_of(stubs.models.CreateModelRun(request, timeout=SECONDS))
    assert isinstance(error, AlreadyExists)


async def test_numbers_that_name_nothing_are_refused_together(
    stubs: Stubs, scenario: Scenario
) -> None:
    identifier = (await scenario.start()).orchestration_id
    listing = run_service_pb2.ListTrialsRequest(
        orchestration_id=identifier,
        states=[trial_pb2.TRIAL_STATE_QUEUED, 77],  # type: ignore[list-item]  # as the wire may bring it
        order_by=9,  # type: ignore[arg-type]  # what an enumeration does not have
        min_score=float("nan"),
    )
    error = await error_of(stubs.runs.ListTrials(listing, timeout=SECONDS))
    assert [each.field for each in error.violations] == ["states[1]", "order_by", "min_score"]
    types = model_service_pb2.ListModelTypesRequest(task=9)  # type: ignore[arg-type]  # as above
    error = await error_of(stubs.models.ListModelTypes(types, timeout=SECONDS))
    assert [each.field for each in error.violations] == ["task"]


async def test_states_that_are_named_a_million_times_count_once(
    stubs: Stubs, scenario: Scenario
) -> None:
    identifier = (await scenario.start()).orchestration_id
    listing = run_service_pb2.ListTrialsRequest(
        orchestration_id=identifier, states=[trial_pb2.TRIAL_STATE_QUEUED] * 1_000_000
    )
    assert not (await stubs.runs.ListTrials(listing, timeout=SECONDS)).trials


@pytest.mark.parametrize("order", [TrialOrder.NUMBER, TrialOrder.SCORE])
@pytest.mark.parametrize(
    "key", [2**31, -1, 10**400, [10**400, 0, 0, 0], [0.5, 2**31, 0, 0], [0.5, 0, 2**63, 0]]
)
async def test_a_token_for_a_place_beyond_all_trials_is_refused(
    cases: UseCases, scenario: Scenario, order: TrialOrder, key: object
) -> None:
    identifier = (await scenario.start()).orchestration_id
    wanted = TrialFilter(orchestration_id=identifier, tuning_run_id=None, states=(), min_score=None)
    listing = ("trials", dataclasses.astuple(wanted), order.value)
    with pytest.raises(InvalidRequest, match="page_token"):
        await cases.runs.trials(
            orchestration_id=identifier,
            tuning_run_id="",
            states=(),
            min_score=None,
            order=order,
            page_size=1,
            page_token=pages.make_token(listing, key),
        )


@pytest.mark.parametrize(("kind", "value"), [("integer", 2**31), ("bigint", 2**63), ("uuid", "x")])
async def test_a_value_no_column_takes_is_the_request_s_fault(
    database: Database, kind: str, value: object
) -> None:
    with pytest.raises(InvalidRequest, match="outside what can be stored"):
        async with database.reading() as connection:
            await connection.fetchval(f"SELECT $1::{kind}", value)


async def test_a_statement_of_ours_that_fails_is_no_request_s_fault(database: Database) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with database.reading() as connection:
            await connection.fetchval("SELECT 1 / $1::integer", 0)


async def test_pages_of_large_descriptions_are_no_larger_than_clients_take(stubs: Stubs) -> None:
    names = ",".join(f"measurement_{place:07}" for place in range(45_000))
    row = ",".join(["1"] * 45_000)
    content = f"{names},label\n{row},0\n{row},1\n".encode()
    for _ in range(2):
        answer = await stubs.datasets.UploadDataset(_upload(content), timeout=SECONDS)
        assert 1_000_000 < answer.ByteSize() < _FOUR_MIB
    seen: list[str] = []
    token, answers = "", 0
    while token or not answers:
        page = await stubs.datasets.ListDatasets(
            dataset_service_pb2.ListDatasetsRequest(page_token=token), timeout=SECONDS
        )
        assert page.ByteSize() < _FOUR_MIB
        seen += [each.dataset_id for each in page.datasets]
        token, answers = page.next_page_token, answers + 1
    assert answers == 2
    assert len(seen) == len(set(seen)) == 7


def _upload(content: bytes) -> Iterator[Any]:
    request = dataset_service_pb2.UploadDatasetRequest
    yield request(header=dataset_service_pb2.UploadHeader(name="wide", target_column="label"))
    for start in range(0, len(content), 1 << 20):
        yield request(chunk=content[start : start + (1 << 20)])
