"""Datasets on this machine: downloaded once, checked, kept in a cache of limited size."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from services.worker.adapters.dataset_folder import write_folder
from services.worker.ports import DatasetError

logger = structlog.get_logger()

Download = Callable[[str], AsyncIterator[bytes]]

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_LOCK_POLL_SECONDS = 0.1
# More folders than these are not held against eviction by one worker.
_PINNED_FOLDERS = 64


class DatasetCache:
    """Folders named by content hash, shared by all workers of a machine.

    A folder appears complete, by a rename. A lock file per hash says who uses it: shared while a
    worker may open it, exclusive to write or evict it. The kernel drops the locks of dead processes.

    Args:
        root: the cache's folder; made if missing.
        download: gives a dataset's bytes by its id.
        max_bytes: size above which folders that nobody uses are evicted, the longest unused first.
    """

    def __init__(self, root: Path, *, download: Download, max_bytes: int) -> None:
        self._folders = root / "datasets"
        self._locks = root / "locks"
        self._download = download
        self._max_bytes = max_bytes
        self._pins: OrderedDict[str, int] = OrderedDict()
        self._under_way: dict[str, asyncio.Lock] = {}

    async def folder(self, dataset_id: str, dataset_hash: str) -> Path:
        """Gives the folder of a dataset, downloading it if this machine does not have it."""
        if not _HASH.match(dataset_hash):
            raise DatasetError(f"{dataset_hash!r} is no SHA-256")
        async with self._under_way.setdefault(dataset_hash, asyncio.Lock()):
            folder = self._folders / dataset_hash
            if dataset_hash not in self._pins:
                await self._pin(dataset_id, dataset_hash, folder)
            self._pins.move_to_end(dataset_hash)
            await asyncio.to_thread(_touch, folder)
            return folder

    def close(self) -> None:
        """Lets others evict what this worker used."""
        while self._pins:
            os.close(self._pins.popitem()[1])

    async def _pin(self, dataset_id: str, dataset_hash: str, folder: Path) -> None:
        for each in (self._folders, self._locks):
            each.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._locks / f"{dataset_hash}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            while not await _shares(lock, folder):
                # Nobody waits for the exclusive lock: who has fetched the folder keeps the shared one.
                if not _try_lock(lock, fcntl.LOCK_EX):
                    await asyncio.sleep(_LOCK_POLL_SECONDS)
                elif not folder.is_dir():
                    await self._fetch(dataset_id, dataset_hash, folder)
        except BaseException:
            os.close(lock)
            raise
        self._pins[dataset_hash] = lock
        while len(self._pins) > _PINNED_FOLDERS:
            os.close(self._pins.popitem(last=False)[1])
        await asyncio.to_thread(self._evict)

    async def _fetch(self, dataset_id: str, dataset_hash: str, folder: Path) -> None:
        partial = self._folders / f".{dataset_hash}.{uuid.uuid4().hex}"
        partial.mkdir()
        try:
            source = partial / "download"
            digest, size = hashlib.sha256(), 0
            with source.open("wb") as file:
                async for chunk in self._download(dataset_id):
                    # At most 1 MiB each: hashing and writing one takes about a millisecond.
                    digest.update(chunk)
                    file.write(chunk)
                    size += len(chunk)
            if digest.hexdigest() != dataset_hash:
                raise DatasetError(
                    f"dataset {dataset_id}: the {size} bytes received have hash "
                    f"{digest.hexdigest()}, not {dataset_hash}"
                )
            await asyncio.to_thread(write_folder, source, partial)
            partial.rename(folder)
            logger.info(
                "dataset downloaded", dataset_id=dataset_id, dataset_hash=dataset_hash, bytes=size
            )
        finally:
            if partial.exists():
                await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)

    def _evict(self) -> None:
        folders = [each for each in self._folders.iterdir() if _HASH.match(each.name)]
        sizes = {each: _size(each) for each in folders}
        total = sum(sizes.values())
        for folder in sorted(folders, key=_used):
            if total <= self._max_bytes:
                return
            if folder.name in self._pins:
                continue
            lock = os.open(self._locks / f"{folder.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                doomed = self._folders / f".{folder.name}.{uuid.uuid4().hex}"
                folder.rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)
                total -= sizes[folder]
                logger.info("dataset evicted", dataset_hash=folder.name, bytes=sizes[folder])
            except OSError:
                continue  # In use, or gone already: both are fine.
            finally:
                os.close(lock)


async def _shares(lock: int, folder: Path) -> bool:
    """Waits until nobody fetches a folder. Returns: whether it is there, held by the shared lock."""
    # Polling, because a thread that blocks in flock could not be cancelled.
    while True:
        if _try_lock(lock, fcntl.LOCK_SH):
            break
        await asyncio.sleep(_LOCK_POLL_SECONDS)
    if folder.is_dir():
        return True
    # Going from shared to exclusive is no single step: whoever gets that looks again.
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _touch(folder: Path) -> None:
    os.utime(folder)


def _used(folder: Path) -> float:
    with suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


def _size(folder: Path) -> int:
    total = 0
    # Folds that children share lie below it, and may go at any time.
    for each in folder.rglob("*"):
        with suppress(OSError):
            total += each.stat().st_size
    return total
