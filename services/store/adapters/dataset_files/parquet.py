"""Parquet files: read without taking more memory than a dataset may, whatever is packed into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from services.core.errors import FieldViolation, InvalidRequest
from services.store.adapters.dataset_files.describing import check_columns

# Small enough that a batch of long texts, which a file holds once and names in every row, can be counted
# before there are many of them.
_BATCH_ROWS: Final = 4_096
# Columns of dates, decimals or long offsets take more here than in the dataset they become.
_ROOM: Final = 2


def read_parquet(path: Path, *, max_bytes: int) -> Any:
    """Reads a Parquet file as an Arrow table whose buffers are sound and whose texts are UTF-8.

    Args:
        max_bytes: of the dataset the table is for. A file of a few KiB can hold as many values as fit
            into no memory: what it comes to is counted before it is read, and while it is.

    Raises: InvalidRequest: it cannot be read, or is larger.
    """
    try:
        with pyarrow.parquet.ParquetFile(str(path)) as file:
            schema = file.schema_arrow
            check_columns(len(schema))
            _check_size(_least_bytes(file), max_bytes)
            batches, size = [], 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                size += sum(_bytes_of(each) for each in batch.columns)
                _check_size(size // _ROOM, max_bytes)
                batches.append(batch)
        table = pa.Table.from_batches(batches, schema)
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # Arrow names the server's file as well as what is wrong with it.
        text = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        reason = text.replace(str(path), "file")
        raise _invalid(f"the Parquet file cannot be read: {reason}") from error
    return table


def _bytes_of(column: Any) -> int:
    """The bytes of a column; of one that names texts by number those of the texts, once for every row."""
    if not (pa.types.is_dictionary(column.type) and pa.types.is_string(column.type.value_type)):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)


def _least_bytes(file: Any) -> int:
    """What the rows take at least: a bit for each truth value, four bytes for each text, eight for others."""
    bits = sum(_least_bits(each.type) for each in file.schema_arrow)
    return int(file.metadata.num_rows) * bits // 8


def _least_bits(kind: Any) -> int:
    if pa.types.is_boolean(kind):
        return 1
    return 64 if pa.types.is_integer(kind) or pa.types.is_floating(kind) else 32


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise _invalid(
            f"the table takes {size} bytes in memory or more, the limit is {max_bytes}; upload fewer rows"
            " or columns"
        )


def _invalid(description: str) -> InvalidRequest:
    return InvalidRequest([FieldViolation(field="chunk", description=description)])
