"""Datasets: files that are accepted, the built-in ones, deletion, download."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import sklearn.datasets

from services.core.errors import AlreadyExists, DeadlinePassed, InvalidRequest, NotFound, WrongState
from services.core.objective import Task
from services.store.adapters.grpc_servicer.dataset_service import DatasetServicer
from services.store.adapters.postgres.database import Database
from services.store.app import UseCases
from services.store.service.model_runs import ModelRunRequest
from tests.integration.store.scenario import TENANT, Scenario, until
from tests.integration.store.uploading import GOOD, hash_of, store_file, table_of
from tuning.v1 import dataset_service_pb2


async def test_a_csv_is_stored_in_typed_columns(cases: UseCases, tmp_path: Path) -> None:
    dataset = await store_file(cases, tmp_path, GOOD)
    summary = dataset.summary
    assert (summary.task, summary.row_count, summary.target_column) == (
        Task.CLASSIFICATION,
        3,
        "label",
    )
    assert [(each.name, each.type, each.missing_count) for each in summary.columns] == [
        ("a", "int", 0),
        ("b", "float", 1),
        ("c", "string", 0),
    ]
    assert summary.classes == (("no", 1), ("yes", 2))
    table = await table_of(cases, dataset.dataset_id)
    assert table.schema.names == ["a", "b", "c", "label"]
    assert table.schema.metadata == {
        b"crescendo.task": b"classification",
        b"crescendo.target": b"label",
    }
    assert table.column("b").to_pylist() == [2.5, None, 4.5]


async def test_the_target_comes_last_wherever_it_was(cases: UseCases, tmp_path: Path) -> None:
    dataset = await store_file(cases, tmp_path, b"label,a\n0,1\n1,2\n")
    table = await table_of(cases, dataset.dataset_id)
    assert table.schema.names == ["a", "label"]
    assert table.schema.field("label").type == pa.int64()


async def test_the_same_content_has_the_same_hash(cases: UseCases, tmp_path: Path) -> None:
    first = await store_file(cases, tmp_path, GOOD)
    second = await store_file(cases, tmp_path, GOOD.replace(b"\n", b"\r\n"), name="other")
    assert first.dataset_id != second.dataset_id
    assert first.summary.content_hash == second.summary.content_hash
    third = await store_file(cases, tmp_path, GOOD.replace(b"2.5", b"2.6"))
    assert third.summary.content_hash != first.summary.content_hash


async def test_csv_and_parquet_of_the_same_table_are_the_same(
    cases: UseCases, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    table = pa.table(
        {
            "a": pa.array([1, 2, 3], pa.int32()),
            "b": pa.array([2.5, None, 4.5]),
            "c": pa.array(["x", "y", "x"]).dictionary_encode(),
            "label": ["yes", "no", "yes"],
        }
    )
    pyarrow.parquet.write_table(table, buffer)
    from_parquet = await store_file(cases, tmp_path, buffer.getvalue())
    from_csv = await store_file(cases, tmp_path, GOOD)
    assert from_parquet.summary == from_csv.summary


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ("0 1 2 0 1 2", Task.CLASSIFICATION),
        ("0.0 1.0 1.0 0.0 1.0 1.0", Task.CLASSIFICATION),
        ("true false true true true true", Task.CLASSIFICATION),
        ("x y x y x y", Task.CLASSIFICATION),
        ("0.5 1 2 3 4 5", Task.REGRESSION),
        (" ".join(map(str, range(40))), Task.REGRESSION),
    ],
)
async def test_the_task_is_inferred_from_the_target(
    cases: UseCases, tmp_path: Path, values: str, task: Task
) -> None:
    rows = "\n".join(f"{place},{value}" for place, value in enumerate(values.split()))
    dataset = await store_file(cases, tmp_path, f"a,label\n{rows}\n".encode())
    assert dataset.summary.task is task
    kind = (await table_of(cases, dataset.dataset_id)).schema.field("label").type
    assert kind in (
        (pa.float64(),)
        if task is Task.REGRESSION
        else (
            pa.int64(),
            pa.bool_(),
            pa.string(),
        )
    )


async def test_a_target_of_large_whole_numbers_becomes_the_nearest_floats(
    cases: UseCases, tmp_path: Path
) -> None:
    rows = "\n".join(f"{place},{2**53 + 2 * place + 1}" for place in range(30))
    dataset = await store_file(cases, tmp_path, f"a,label\n{rows}\n".encode())
    assert dataset.summary.task is Task.REGRESSION
    stored = (await table_of(cases, dataset.dataset_id)).column("label").to_pylist()
    assert stored[:2] == [float(2**53 + 1), float(2**53 + 3)]


async def test_dates_stay_text_and_quoted_line_breaks_are_one_row(
    cases: UseCases, tmp_path: Path
) -> None:
    content = b'day,note,label\n2024-01-01,"two\nlines",1\n2024-01-02,one,0\n'
    dataset = await store_file(cases, tmp_path, content)
    assert [each.type for each in dataset.summary.columns] == ["string", "string"]
    table = await table_of(cases, dataset.dataset_id)
    assert table.column("day").to_pylist() == ["2024-01-01", "2024-01-02"]
    assert table.column("note").to_pylist() == ["two\nlines", "one"]


async def test_an_upload_repeated_is_the_same_dataset(cases: UseCases, tmp_path: Path) -> None:
    request_id = str(uuid.uuid4())
    first = await store_file(cases, tmp_path, GOOD, request_id=request_id)
    again = await store_file(cases, tmp_path, GOOD, request_id=request_id)
    assert first == again
    with pytest.raises(AlreadyExists):
        await store_file(cases, tmp_path, GOOD + b"4,1,z,no\n", request_id=request_id)


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "digits", "iris", "wine"])
async def test_built_in_data_is_exactly_scikit_learns(cases: UseCases, name: str) -> None:
    matrix, target = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    dataset = await cases.datasets.dataset(f"sklearn:{name}", tenant=TENANT)
    assert dataset.built_in
    table = await table_of(cases, dataset.dataset_id)
    stored = np.column_stack([table.column(place).to_numpy() for place in range(matrix.shape[1])])
    assert stored.dtype == np.float64
    assert np.array_equal(stored, matrix)
    assert np.array_equal(table.column("target").to_numpy(), target)
    assert dataset.summary.content_hash == await hash_of(cases, dataset.dataset_id)


async def test_a_built_in_is_made_once(cases: UseCases) -> None:
    made = await asyncio.gather(
        *(cases.datasets.dataset("sklearn:wine", tenant=TENANT) for _ in range(5))
    )
    assert len({each.created_at for each in made}) == 1
    with pytest.raises(NotFound, match="sklearn:nothing"):
        await cases.datasets.dataset("sklearn:nothing", tenant=TENANT)


async def test_built_in_data_is_listed_first_then_the_newest(
    cases: UseCases, tmp_path: Path
) -> None:
    mine = [await store_file(cases, tmp_path, GOOD, name=str(place)) for place in range(3)]
    names: list[str] = []
    token = ""
    while True:
        found, token = await cases.datasets.datasets(tenant=TENANT, page_size=3, page_token=token)
        names += [each.dataset_id for each in found]
        if not token:
            break
    assert all(each.startswith("sklearn:") for each in names[:5])
    assert names[5:] == [each.dataset_id for each in reversed(mine)]


async def test_a_dataset_in_use_is_not_deleted(
    cases: UseCases, scenario: Scenario, tmp_path: Path
) -> None:
    dataset = await store_file(cases, tmp_path, b"a,label\n1,x\n2,y\n3,x\n4,y\n")
    await cases.model_runs.create(
        ModelRunRequest(
            experiment="e",
            dataset_id=dataset.dataset_id,
            model_type="svm_classifier",
            fixed_parameters={},
            steps=(),
        ),
        tenant=TENANT,
        key=None,
        validate_only=False,
    )
    with pytest.raises(WrongState, match="used by 1 model run"):
        await cases.datasets.delete(dataset.dataset_id)
    unused = await store_file(cases, tmp_path, GOOD)
    await cases.datasets.delete(unused.dataset_id)
    with pytest.raises(NotFound):
        await cases.datasets.dataset(unused.dataset_id, tenant=TENANT)
    with pytest.raises(NotFound):
        await cases.datasets.delete(unused.dataset_id)
    with pytest.raises(WrongState, match="comes with Crescendo"):
        await cases.datasets.delete("sklearn:wine")


async def test_a_table_larger_than_the_limit_is_refused(cases: UseCases, tmp_path: Path) -> None:
    cases.datasets.max_bytes = 1000
    with pytest.raises(InvalidRequest, match="the limit is 1000"):
        await store_file(cases, tmp_path, GOOD + b"1,1,x,no\n" * 100)


async def test_a_large_table_comes_in_pieces(cases: UseCases, tmp_path: Path) -> None:
    rows = b"".join(b"%d,%d\n" % (place, place % 2) for place in range(200_000))
    dataset = await store_file(cases, tmp_path, b"a,label\n" + rows)
    assert dataset.summary.size_bytes > 3 * 1024 * 1024
    table = await table_of(cases, dataset.dataset_id)
    assert table.num_rows == 200_000
    assert await hash_of(cases, dataset.dataset_id) == dataset.summary.content_hash


async def test_slow_readers_hold_no_connection(
    cases: UseCases, database: Database, tmp_path: Path
) -> None:
    rows = b"".join(b"%d,%d\n" % (place, place % 2) for place in range(200_000))
    dataset = await store_file(cases, tmp_path, b"a,label\n" + rows)
    async with AsyncExitStack() as stack:
        slow = []
        for _ in range(10):
            chunks = cases.datasets.chunks(dataset.dataset_id, tenant=TENANT)
            slow.append(await stack.enter_async_context(aclosing(chunks)))
            await anext(chunks)
        # All of them wait for their readers now, and nothing else waits for them.
        assert database.transfers.get_size() == database.transfers.get_idle_size()
        async with asyncio.timeout(60):
            assert await hash_of(cases, dataset.dataset_id) == dataset.summary.content_hash
            rest = [b"".join([each async for each in chunks]) for chunks in slow]
    assert {len(each) for each in rest} == {dataset.summary.size_bytes - 1024 * 1024}


async def test_a_dataset_deleted_under_its_reader_is_no_short_file(
    cases: UseCases, tmp_path: Path
) -> None:
    rows = b"".join(b"%d,%d\n" % (place, place % 2) for place in range(200_000))
    dataset = await store_file(cases, tmp_path, b"a,label\n" + rows)
    chunks = cases.datasets.chunks(dataset.dataset_id, tenant=TENANT)
    async with aclosing(chunks):
        await anext(chunks)
        await cases.datasets.delete(dataset.dataset_id)
        with pytest.raises(NotFound):
            await anext(chunks)


async def test_a_slow_upload_holds_nothing_and_a_stalled_one_ends(
    cases: UseCases, database: Database
) -> None:
    parts: asyncio.Queue[Any] = asyncio.Queue()

    async def sent() -> AsyncIterator[Any]:
        while (part := await parts.get()) is not None:
            yield part

    request = dataset_service_pb2.UploadDatasetRequest
    header = dataset_service_pb2.UploadHeader(name="mine", target_column="label")
    for finishes in (True, False):
        # The first one is slow for as long as the look at the database takes; the second one stalls.
        servicer = DatasetServicer(cases.datasets, silence_seconds=600.0 if finishes else 0.2)
        uploading = asyncio.create_task(servicer.UploadDataset(sent(), None))
        parts.put_nowait(request(header=header))
        parts.put_nowait(request(chunk=GOOD[:20]))
        await until(_taken(parts))
        # What it held it would hold for as long as nothing comes; a poll or a vacuum is over in a moment.
        await until(_rests(database))
        if finishes:
            parts.put_nowait(request(chunk=GOOD[20:]))
            parts.put_nowait(None)
            assert (await uploading).dataset.row_count == 3
        else:
            with pytest.raises(DeadlinePassed) as caught:
                await uploading
            assert caught.value.reason == "UPLOAD_STALLED"


def _rests(database: Database) -> Callable[[], Awaitable[bool]]:
    async def resting() -> bool:
        async with database.reading() as connection:
            busy: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state <> 'idle' AND pid <> pg_backend_pid()"
            )
        return busy == 0

    return resting


def _taken(parts: asyncio.Queue[Any]) -> Callable[[], Awaitable[bool]]:
    async def empty() -> bool:
        return parts.empty()

    return empty
