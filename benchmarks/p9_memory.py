"""P9: what a worker with two slots has in memory for a dataset and its prepared folds.

Sums the proportional set sizes of the worker and its children, where a page that several map counts once,
and takes away what the same processes have with a small dataset. Logistic regression makes no copy
of its own of the rows it is given; what other estimators copy is theirs.
"""

from __future__ import annotations

import io
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import parquet

from benchmarks.grids import FOLDS, SLOTS
from benchmarks.program import Size, run
from benchmarks.rows import Row
from benchmarks.stack import Servers, Stack, running, servers, wait_for_end

_COLUMNS = 100
_ROWS = {Size.QUICK: 32_768, Size.FULL: 131_072}
_CANDIDATES = [0.01, 0.1, 1.0, 10.0]
_GOAL = 1.3
_MB = 1_000_000
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes of a worker's processes together: at most during a search, and after it."""

    peak: int
    after: int


def measure(size: Size) -> list[Row]:
    """Measures both datasets, each with new processes."""
    rows = _ROWS[size]
    with servers() as on:
        without, _ = _searched(on, lambda _: "sklearn:iris")
        with_data, folds = _searched(on, lambda stack: _upload(stack, rows))
    dataset = rows * _COLUMNS * 8
    ours, base = with_data.peak - without.peak, dataset + folds
    return [
        Row(
            name="P9",
            work=f"a worker's memory, {dataset / _MB:.0f} MB of data, {SLOTS} slots, {FOLDS} folds",
            goal=f"≤ {_GOAL}×",
            ours=ours / _MB,
            peer=base / _MB,
            peer_name=f"the dataset and {folds / _MB:.0f} MB of prepared folds",
            unit="MB",
            ratio=ours / base,
            # Without prepared folds there is nothing to be shared, and each slot has rows of its own.
            met=folds > 0 and ours <= _GOAL * base,
            note=(
                f"at most, during the search; after it {(with_data.after - without.after) / _MB:.0f} MB;"
                f" the processes themselves {without.peak / _MB:.0f} MB"
            ),
        )
    ]


def _searched(on: Servers, dataset: Callable[[Stack], str]) -> tuple[Memory, int]:
    """Runs a search by new processes. Returns: their memory, and the bytes of folds in files."""
    with (
        tempfile.TemporaryDirectory(prefix="crescendo-bench-") as cache,
        running(on, slots=SLOTS, CRESCENDO_WORKER_CACHE_DIR=cache) as stack,
    ):
        model = stack.client.create_model_run(
            dataset(stack), "logistic_regression", fixed={"max_iter": 20}
        )
        (worker,) = stack.cluster.workers()
        with _watched(worker.pid) as most:
            started = stack.client.tune(
                model.model_run_id, {"C": _CANDIDATES}, method="grid_search", cv_folds=FOLDS
            )
            wait_for_end(stack, started.orchestration_id)
        failed = [each for each in stack.client.trials(started.orchestration_id) if each.failure]
        if failed:
            raise RuntimeError(f"{len(failed)} trials failed: {failed[0].failure}")
        folds = sum(each.stat().st_size for each in Path(cache).glob("datasets/*/folds-*/*.npy"))
        return Memory(peak=max(most), after=_together(worker.pid)), folds


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    """Looks at a process and its descendants, again and again."""
    ended, seen = threading.Event(), [_together(pid)]

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            seen.append(_together(pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        ended.set()
        looking.join()


def _together(pid: int) -> int:
    total = 0
    with suppress(psutil.Error):
        for each in (process := psutil.Process(pid)), *process.children(recursive=True):
            with suppress(OSError):
                total += _proportional(each.pid)
    return total


def _proportional(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return sum(1024 * int(each.split()[1]) for each in lines if each.startswith("Pss:"))


def _upload(stack: Stack, rows: int) -> str:
    draw = np.random.default_rng(1)
    columns = {f"x{at}": draw.normal(size=rows) for at in range(_COLUMNS)}
    table = pa.table({**columns, "y": draw.integers(0, 2, size=rows)})
    content = io.BytesIO()
    parquet.write_table(table, content)
    content.seek(0)
    return stack.client.upload_dataset(content, target="y", name="normal").dataset_id


if __name__ == "__main__":
    run(measure, __doc__)
