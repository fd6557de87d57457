"""Files that are refused: everything wrong with them and their header at once, and nothing stored."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from services.core.dataset_roles import DatasetRoles
from services.core.errors import InvalidRequest
from services.core.objective import Task
from services.store.adapters.grpc_servicer.dataset_service import DatasetServicer
from services.store.app import UseCases
from services.store.ports.results import DatasetFormat
from tests.integration.store.scenario import TENANT
from tests.integration.store.uploading import GOOD, store_file
from tuning.v1 import dataset_pb2, dataset_service_pb2

_PARQUET = DatasetFormat.PARQUET


def _parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _long_parquet() -> bytes:
    """A hundred million rows in a few KiB."""
    buffer = io.BytesIO()
    rows = pa.table(
        {"a": pa.nulls(1_000_000, pa.int64()), "label": pa.nulls(1_000_000, pa.bool_())}
    )
    with pyarrow.parquet.ParquetWriter(buffer, rows.schema) as writer:
        for _ in range(100):
            writer.write_table(rows)
    return buffer.getvalue()


def _bad_texts() -> bytes:
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"\xff\xfe")])
    return _parquet(a=bad, label=[0, 1])


_BAD = [
    ("empty file", b"", {}, "the file is empty"),
    ("header only", b"a,label\n", {}, "no rows"),
    (
        "no such target",
        b"a,b\n1,2\n2,3\n",
        {},
        "there is no column 'label'; the columns are 'a', 'b'",
    ),
    ("ragged", b"a,label\n1,0\n1,2,3\n2,1\n4\n", {}, "has 3 values, the header has 2"),
    ("one class", b"a,label\n1,x\n2,x\n", {}, "one class only"),
    ("text regression", b"a,label\n1,x\n2,y\n", {"task": Task.REGRESSION}, "the target is text"),
    (
        "fraction classes",
        b"a,label\n1,0.5\n2,1\n",
        {"task": Task.CLASSIFICATION},
        "holds fractions",
    ),
    ("missing target", b"a,label\n1,x\n2,\n3,y\n", {}, "missing in 1 of 3 rows"),
    ("infinite target", b"a,label\n1,0.5\n2,inf\n3,2\n", {}, "infinite"),
    ("nan target", b"a,label\n1,0.5\n2,nan\n3,2\n", {}, "missing in 1 of 3"),
    ("twice a name", b"a,a,label\n1,2,x\n2,3,y\n", {}, "more than once"),
    ("no name", b"a,,label\n1,2,x\n2,3,y\n", {}, "no name"),
    ("only a target", b"label\n0\n1\n", {}, "only column"),
    ("latin 1", "a,label\n1,é\n2,x\n".encode("latin-1"), {}, "not UTF-8 at about byte 10"),
    ("not parquet", b"a,label\n1,2\n", {"file_format": _PARQUET}, "no Parquet file"),
    ("broken parquet", b"PAR1nonsense", {}, "cannot be read"),
    ("no target named", GOOD, {"target_column": ""}, "must not be empty"),
    (
        "header only, with roles",
        b"a,f,label\n",
        {"roles": DatasetRoles(fold_column="f")},
        "no rows",
    ),
    ("request id", GOOD, {"request_id": "abc"}, "no UUID"),
    (
        "folds beyond whole numbers",
        b"a,f,label\n1,0,x\n2,1e300,y\n",
        {"roles": DatasetRoles(fold_column="f")},
        "far beyond any fold's",
    ),
    (
        "infinite folds",
        b"a,f,label\n1,0,x\n2,inf,y\n",
        {"roles": DatasetRoles(fold_column="f")},
        "far beyond any fold's",
    ),
    ("a name with a NUL", b"a\0,label\n1,x\n2,y\n", {}, "column 'a\\x00': its name holds a NUL"),
    ("a class with a NUL", b"a,label\n1,x\0\n2,y\n", {}, "one of the target's classes holds a NUL"),
    ("a header with a NUL", GOOD, {"name": "a\0b"}, "header.name: holds a NUL character"),
    ("a column too many", b"," * 50_000 + b"label\n", {}, "at most 50,000 are allowed"),
    (
        "names of a megabyte",
        b"n" * (1 << 20) + b",label\n1,x\n2,y\n",
        {},
        "names take 1,048,581 bytes together",
    ),
    (
        "ids for a target",
        b"a,label\n" + b"".join(b"1,x%d\n" % place for place in range(10_001)),
        {},
        "has 10,001 classes in 10,001 rows, at most 10,000",
    ),
    (
        "texts for a target",
        b"a,label\n" + b"".join(b"1,%d%s\n" % (place, b"x" * 600_000) for place in range(2)),
        {},
        "labels of the target's classes take 1,200,002 bytes",
    ),
    (
        "more rows than there is memory",
        _long_parquet(),
        {},
        "takes 812500000 bytes in memory or more",
    ),
    ("texts that are none", _bad_texts(), {}, "Invalid UTF8"),
    (
        "days beyond the calendar",
        _parquet(day=pa.array([2**31 - 1, 0], pa.date32()), a=[1, 2], label=["x", "y"]),
        {"roles": DatasetRoles(time_column="day")},
        "out of bounds",
    ),
    (
        "hours of nowhere",
        _parquet(hour=pa.array([1, 2], pa.timestamp("us", "No/Where")), a=[1, 2], label=["x", "y"]),
        {"roles": DatasetRoles(group_column="hour")},
        "No/Where",
    ),
]


@pytest.mark.parametrize(
    ("content", "changes", "words"), [each[1:] for each in _BAD], ids=[each[0] for each in _BAD]
)
async def test_a_bad_file_is_refused_and_nothing_is_stored(
    cases: UseCases, tmp_path: Path, content: bytes, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await store_file(cases, tmp_path, content, **changes)
    assert words in str(caught.value)
    # What the server calls its files is nobody's business.
    assert str(tmp_path) not in str(caught.value)
    found, _ = await cases.datasets.datasets(tenant=TENANT, page_size=None, page_token="")
    assert all(each.built_in for each in found)


async def test_a_wrong_header_hides_nothing_that_is_wrong_with_the_file(cases: UseCases) -> None:
    header = dataset_service_pb2.UploadHeader(
        name="n" * 201,
        target_column="lable",
        task=17,  # type: ignore[arg-type]  # what an enumeration does not have, as the wire may bring it
        format=9,  # type: ignore[arg-type]  # as above
        request_id="abc",
        roles=dataset_pb2.DatasetRoles(group_column="site", weight_column="w"),
    )
    request = dataset_service_pb2.UploadDatasetRequest

    async def sent() -> AsyncIterator[Any]:
        yield request(header=header)
        yield request(chunk=b"a,,w,label\n1,2,-1,x\n2,3,1,y\n")

    with pytest.raises(InvalidRequest) as caught:
        await DatasetServicer(cases.datasets).UploadDataset(sent(), None)
    assert [each.field for each in caught.value.violations] == [
        "header.task",
        "header.format",
        "header.name",
        "header.request_id",
        "column 2",
        "header.target_column",
        "header.roles.group_column",
        "header.roles.weight_column",
    ]


async def test_a_file_of_another_format_than_said_is_looked_into_all_the_same(
    cases: UseCases, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    table = pa.table({"a": [[1], [2]], "b": [1, 2], "label": [0, 1]})
    pyarrow.parquet.write_table(table, buffer)
    roles = DatasetRoles(positive_label="2")
    with pytest.raises(InvalidRequest) as caught:
        await store_file(
            cases, tmp_path, buffer.getvalue(), file_format=DatasetFormat.CSV, roles=roles
        )
    assert [each.field for each in caught.value.violations] == [
        "header.format",
        "column 'a'",
        "header.roles.positive_label",
    ]


async def test_ragged_rows_are_named_by_number(cases: UseCases, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await store_file(cases, tmp_path, b"a,label\n1,0\n1,2,3\n2,1\n4\n")
    assert [each.field for each in caught.value.violations] == ["chunk (row 3)", "chunk (row 5)"]


async def test_every_column_of_an_unknown_type_is_named(cases: UseCases, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    table = pa.table({"a": [[1], [2]], "b": [{"x": 1}, {"x": 2}], "c": [1, 2], "label": [0, 1]})
    pyarrow.parquet.write_table(table, buffer)
    with pytest.raises(InvalidRequest) as caught:
        await store_file(cases, tmp_path, buffer.getvalue())
    assert [each.field for each in caught.value.violations] == ["column 'a'", "column 'b'"]


@pytest.mark.parametrize("named_by_number", [False, True])
async def test_one_text_in_every_row_is_counted_while_it_is_read(
    cases: UseCases, tmp_path: Path, *, named_by_number: bool
) -> None:
    cases.datasets.max_bytes = 10_000_000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["x" * 2_000])
    content = _parquet(a=text if named_by_number else text.cast(pa.string()), label=[0, 1] * 10_000)
    assert len(content) < 10_000
    with pytest.raises(InvalidRequest, match="bytes in memory or more, the limit is 10000000"):
        await store_file(cases, tmp_path, content)
