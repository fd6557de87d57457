from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from services.worker.adapters.dataset_folder import read_folder
from services.worker.adapters.datasets import DatasetCache
from services.worker.ports import DatasetError
from tests.integration.worker.datasets import StoredDataset, built_in, from_frame, mixed_frame

LARGE = 1 << 30


@dataclass
class Source:
    """A store's download that counts how often it is asked."""

    content: bytes
    downloads: int = 0

    async def __call__(self, dataset_id: str) -> AsyncIterator[bytes]:
        self.downloads += 1
        for start in range(0, len(self.content), 1000):
            await asyncio.sleep(0)
            yield self.content[start : start + 1000]


def cache(root: Path, source: Source, *, max_bytes: int = LARGE) -> DatasetCache:
    return DatasetCache(root, download=source, max_bytes=max_bytes)


async def test_numeric_data_is_one_contiguous_mapped_matrix(tmp_path: Path) -> None:
    dataset = built_in("diabetes")
    folder = await cache(tmp_path, Source(dataset.content)).folder("d", dataset.content_hash)
    data = read_folder(folder)
    assert data.features.dtype == np.float64
    assert data.features.flags.c_contiguous
    assert not data.features.flags.writeable
    np.testing.assert_array_equal(data.features, dataset.features)
    np.testing.assert_array_equal(data.target, dataset.target)
    assert data.target.dtype == np.float64
    assert data.categorical == ()


async def test_text_columns_make_a_frame(tmp_path: Path) -> None:
    dataset = from_frame(mixed_frame(), target="bought", task="classification")
    folder = await cache(tmp_path, Source(dataset.content)).folder("d", dataset.content_hash)
    data = read_folder(folder)
    assert data.numeric == ("age", "income", "member")
    assert data.categorical == ("city",)
    assert list(data.features.columns) == list(dataset.features.columns)
    assert data.features.equals(dataset.features)
    assert list(data.target) == list(dataset.target)


async def test_workers_of_one_machine_download_once(tmp_path: Path) -> None:
    dataset = built_in("wine")
    source = Source(dataset.content)
    first, second = cache(tmp_path, source), cache(tmp_path, source)
    folders = await asyncio.gather(
        *(each.folder("d", dataset.content_hash) for each in (first, second, first))
    )
    assert len(set(folders)) == 1
    assert source.downloads == 1
    assert await cache(tmp_path, source).folder("d", dataset.content_hash) == folders[0]
    assert source.downloads == 1


async def test_whoever_was_overtaken_takes_what_another_worker_fetched(tmp_path: Path) -> None:
    dataset = built_in("wine")
    ready = await cache(tmp_path / "b", Source(dataset.content)).folder("d", dataset.content_hash)
    for name in ("datasets", "locks"):
        (tmp_path / "a" / name).mkdir(parents=True)
    # The other worker looks, fetches and keeps its lock while this one has found nothing.
    other = os.open(tmp_path / "a" / "locks" / f"{dataset.content_hash}.lock", os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_SH)
    source = Source(dataset.content)
    waiting = asyncio.create_task(cache(tmp_path / "a", source).folder("d", dataset.content_hash))
    await asyncio.sleep(0)
    fetched = ready.rename(tmp_path / "a" / "datasets" / dataset.content_hash)
    async with asyncio.timeout(60):
        assert await waiting == fetched
    assert source.downloads == 0
    os.close(other)


async def test_other_bytes_than_asked_for_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    source = Source(b"not a dataset")
    wrong = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(DatasetError, match="hash"):
        await cache(tmp_path, source).folder("d", wrong)
    assert list((tmp_path / "datasets").iterdir()) == []
    with pytest.raises(DatasetError, match="Arrow"):
        await cache(tmp_path, source).folder("d", hashlib.sha256(source.content).hexdigest())
    assert list((tmp_path / "datasets").iterdir()) == []


async def test_a_hash_is_never_a_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="SHA-256"):
        await cache(tmp_path, Source(b"")).folder("d", "../../etc")


async def test_a_download_that_breaks_off_is_tried_again(tmp_path: Path) -> None:
    dataset = built_in("iris")

    class Broken(Source):
        async def __call__(self, dataset_id: str) -> AsyncIterator[bytes]:
            self.downloads += 1
            yield self.content[:100]
            if self.downloads == 1:
                raise ConnectionError("cut")
            yield self.content[100:]

    source = Broken(dataset.content)
    tried = cache(tmp_path, source)
    with pytest.raises(ConnectionError):
        await tried.folder("d", dataset.content_hash)
    assert (await tried.folder("d", dataset.content_hash)).is_dir()


def stored(name: str) -> StoredDataset:
    return built_in(name)


async def test_what_nobody_uses_makes_room(tmp_path: Path) -> None:
    old, new = stored("digits"), stored("wine")
    first = cache(tmp_path, Source(old.content))
    unused = await first.folder("d", old.content_hash)
    first.close()
    second = cache(tmp_path, Source(new.content), max_bytes=1)
    used = await second.folder("d", new.content_hash)
    assert (unused.exists(), used.exists()) == (False, True)


async def test_what_another_worker_uses_stays(tmp_path: Path) -> None:
    old, new = stored("digits"), stored("wine")
    first = cache(tmp_path, Source(old.content))
    used_by_first = await first.folder("d", old.content_hash)
    second = cache(tmp_path, Source(new.content), max_bytes=1)
    await second.folder("d", new.content_hash)
    assert used_by_first.exists()
