"""Uploads whose client goes away while the file is parsed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from services.core.errors import FieldViolation, InvalidRequest
from services.core.violations import Violations
from services.store.ports.catalogue import CanonicalDataset
from services.store.ports.results import DatasetFormat
from services.store.service.datasets import Datasets, Upload


class _SlowFiles:
    """Parses each file for as long as the test says, and refuses it then."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[threading.Event] = asyncio.Queue()
        self.most_at_once = 0
        self._at_once = 0
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def parsed(self, path: Path, **_: Any) -> Iterator[CanonicalDataset]:
        end = threading.Event()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self._loop.call_soon_threadsafe(self.begun.put_nowait, end)
        end.wait(timeout=60)
        self._at_once -= 1
        raise InvalidRequest([FieldViolation(field="chunk", description="refused")])
        yield  # type: ignore[unreachable]  # what makes it a generator

    @contextmanager
    def built_in(self, dataset_id: str) -> Iterator[CanonicalDataset]:
        raise KeyError(dataset_id)
        yield  # type: ignore[unreachable]  # it makes a generator of this

    def built_in_ids(self) -> Sequence[str]:
        return ()


async def test_the_next_file_waits_for_one_whose_upload_was_given_up(tmp_path: Path) -> None:
    files = _SlowFiles()
    # What is refused is never stored.
    datasets = Datasets(None, files, max_bytes=1000)  # type: ignore[arg-type]  # the store of rows is never asked

    async def upload() -> None:
        header = Upload(
            name="mine",
            target_column="label",
            task=None,
            file_format=DatasetFormat.DETECT,
            request_id=None,
        )
        with suppress(InvalidRequest):
            await datasets.upload(header, tmp_path, tenant="default", found=Violations())

    async with asyncio.timeout(60):
        first = asyncio.create_task(upload())
        end_first = await files.begun.get()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        second = asyncio.create_task(upload())
        # As many turns of the loop as it takes to begin where nothing is in the way.
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(second), timeout=0.2)
        assert files.begun.empty()
        end_first.set()
        (await files.begun.get()).set()
        await second
    assert files.most_at_once == 1
