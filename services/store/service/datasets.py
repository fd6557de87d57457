"""Datasets: uploading, the built-in ones, listing, deleting, downloading."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from services.core.dataset_roles import NO_ROLES, DatasetRoles
from services.core.errors import WrongState
from services.core.objective import Task
from services.core.plan import RequestKey
from services.core.violations import NO_NUL, Violations
from services.store.ports.catalogue import CanonicalDataset, DatasetFiles, DatasetStore
from services.store.ports.results import Dataset, DatasetFormat
from services.store.service import pages
from services.store.service.identifiers import (
    canonical_id,
    checked_request_id,
    new_id,
    not_found,
)
from services.store.service.plans import check_same_request

BUILT_IN_PREFIX = "sklearn:"
# Parsing takes several times the file's size in memory: one at a time per replica.
_PARSERS = 1
# Each holds a piece or two in memory for as long as its reader takes.
_DOWNLOADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What an uploaded file is said to be; `task` None to infer it."""

    name: str
    target_column: str
    task: Task | None
    file_format: DatasetFormat
    request_id: str | None
    roles: DatasetRoles = NO_ROLES


class Datasets:
    """Keeps datasets."""

    def __init__(self, store: DatasetStore, files: DatasetFiles, *, max_bytes: int) -> None:
        self._store = store
        self._files = files
        self.max_bytes = max_bytes
        self._parsers = asyncio.Semaphore(_PARSERS)
        self._given_up: set[asyncio.Task[None]] = set()
        self._downloads = asyncio.Semaphore(_DOWNLOADS)
        self._built_ins = asyncio.Lock()

    async def upload(
        self, upload: Upload, path: Path, *, tenant: str, found: Violations
    ) -> Dataset:
        """Stores an uploaded file as a dataset; the same request id and content give the same dataset.

        Args:
            found: what could not be read of the header; it stands in `upload` as if left out.

        Raises:
            InvalidRequest: header or file break rules; every violation found is listed.
            AlreadyExists: the request id was used with another header or file.
        """
        _check_header(found, upload)
        key = None
        if upload.request_id is not None:
            with found.gathered():
                key = RequestKey(
                    rpc="UploadDataset",
                    request_id=checked_request_id(upload.request_id, "header.request_id"),
                    body_hash=await asyncio.to_thread(_hash_of, upload, path),
                )
        dataset_id = new_id()
        parsed = self._files.parsed(
            path,
            found=found,
            file_format=upload.file_format,
            target_column=upload.target_column,
            task=upload.task,
            roles=upload.roles,
            max_bytes=self.max_bytes,
        )
        async with self._parsing(parsed) as canonical:
            earlier = await self._store.insert_dataset(
                canonical,
                tenant=tenant,
                dataset_id=dataset_id,
                name=upload.name,
                built_in=False,
                key=key,
            )
        if earlier is not None and key is not None:
            check_same_request(earlier, key)
            dataset_id = earlier.resource_id
        return await self.dataset(dataset_id, tenant=tenant)

    @asynccontextmanager
    async def _parsing(
        self, manager: AbstractContextManager[CanonicalDataset]
    ) -> AsyncIterator[CanonicalDataset]:
        """Parses in a thread, in turn.

        A thread cannot be stopped: when its upload is given up meanwhile, the next one waits for it all
        the same, or clients that try again and again would have it parsed many times at once.
        """
        async with AsyncExitStack() as stack:
            await self._parsers.acquire()
            parsing = asyncio.ensure_future(asyncio.to_thread(manager.__enter__))
            try:
                canonical = await asyncio.shield(parsing)
            except asyncio.CancelledError:
                leaving = asyncio.create_task(self._leave(manager, parsing))
                self._given_up.add(leaving)
                leaving.add_done_callback(self._given_up.discard)
                raise
            except BaseException:
                self._parsers.release()
                raise
            stack.callback(self._parsers.release)
            stack.push_async_callback(asyncio.to_thread, manager.__exit__, None, None, None)
            yield canonical

    async def _leave(
        self,
        manager: AbstractContextManager[CanonicalDataset],
        parsing: asyncio.Future[CanonicalDataset],
    ) -> None:
        """Waits for a thread whose upload is gone, and removes what it made."""
        try:
            # What was wrong with the file interests nobody any more.
            with suppress(Exception):
                await parsing
                await asyncio.to_thread(manager.__exit__, None, None, None)
        finally:
            self._parsers.release()

    async def dataset(self, dataset_id: str, *, tenant: str) -> Dataset:
        """Gives a dataset; a built-in one is made at its first use. Raises: NotFound."""
        if dataset_id.startswith(BUILT_IN_PREFIX):
            return await self._built_in(dataset_id, tenant=tenant)
        found = await self._store.dataset(canonical_id("dataset", dataset_id))
        if found is None:
            raise not_found("dataset", dataset_id)
        return found

    async def _built_in(self, dataset_id: str, *, tenant: str) -> Dataset:
        if dataset_id not in self._files.built_in_ids():
            raise not_found("dataset", dataset_id)
        found = await self._store.dataset(dataset_id)
        if found is not None:
            return found
        async with self._built_ins:
            found = await self._store.dataset(dataset_id)
            if found is None:
                async with _in_thread(self._files.built_in(dataset_id)) as canonical:
                    await self._store.insert_dataset(
                        canonical,
                        tenant=tenant,
                        dataset_id=dataset_id,
                        name=dataset_id.removeprefix(BUILT_IN_PREFIX),
                        built_in=True,
                        key=None,
                    )
                found = await self._store.dataset(dataset_id)
        if found is None:
            raise not_found("dataset", dataset_id)
        return found

    async def datasets(
        self, *, tenant: str, page_size: int | None, page_token: str
    ) -> tuple[Sequence[Dataset], str]:
        """Lists the built-in datasets first, then the newest. Raises: InvalidRequest."""
        limit = pages.checked_page_size(page_size)
        listing = ("datasets", tenant)
        after = pages.read_token(listing, page_token, _decode_key)
        if after is None:
            for dataset_id in self._files.built_in_ids():
                await self._built_in(dataset_id, tenant=tenant)
        found = await self._store.datasets(tenant, after=after, limit=limit + 1)
        page = pages.page_of(found, limit=limit, size=_described_bytes)
        if len(page) == len(found):
            return page, ""
        last = page[-1]
        key = [last.built_in, last.created_at.isoformat(), last.dataset_id]
        return page, pages.make_token(listing, key)

    async def delete(self, dataset_id: str) -> None:
        """Deletes an uploaded dataset.

        Raises: NotFound; WrongState: it is built in, or model runs use it.
        """
        if dataset_id.startswith(BUILT_IN_PREFIX):
            if dataset_id not in self._files.built_in_ids():
                raise not_found("dataset", dataset_id)
            raise WrongState(
                f"dataset {dataset_id} comes with Crescendo and cannot be deleted",
                reason="BUILT_IN",
                metadata={"dataset_id": dataset_id},
            )
        users = await self._store.delete_dataset(canonical_id("dataset", dataset_id))
        if users is None:
            raise not_found("dataset", dataset_id)
        if users:
            raise WrongState(
                f"dataset {dataset_id} is used by {users} model run{'s' if users > 1 else ''} and"
                " cannot be deleted",
                reason="IN_USE",
                metadata={"dataset_id": dataset_id, "model_runs": str(users)},
            )

    async def chunks(self, dataset_id: str, *, tenant: str) -> AsyncGenerator[bytes, None]:
        """Streams a dataset's stored bytes.

        Waits for others where too many are streamed; holds nothing of the database meanwhile.

        Raises: NotFound: there is no such dataset, or it was deleted on the way.
        """
        dataset = await self.dataset(dataset_id, tenant=tenant)
        sent, index = 0, 0
        async with self._downloads:
            while sent < dataset.summary.size_bytes:
                chunk = await self._store.chunk(dataset.dataset_id, index)
                if not chunk:
                    raise not_found("dataset", dataset_id)
                yield chunk
                sent += len(chunk)
                index += 1


@asynccontextmanager
async def _in_thread(
    manager: AbstractContextManager[CanonicalDataset],
) -> AsyncIterator[CanonicalDataset]:
    """Enters and leaves a manager that blocks, in a thread."""
    async with AsyncExitStack() as stack:
        canonical = await asyncio.to_thread(manager.__enter__)
        stack.push_async_callback(asyncio.to_thread, manager.__exit__, None, None, None)
        yield canonical


def _check_header(found: Violations, upload: Upload) -> None:
    if not upload.target_column:
        found.add("header.target_column", "must not be empty")
    if len(upload.name) > 200:
        found.add("header.name", f"has {len(upload.name)} characters, at most 200 are allowed")
    if "\0" in upload.name:
        found.add("header.name", NO_NUL)


def _hash_of(upload: Upload, path: Path) -> bytes:
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").digest()
    header = repr((upload.name, upload.target_column, upload.task, upload.file_format))
    if upload.roles != NO_ROLES:
        # Uploads without roles keep the hash they had before there were any.
        header += repr(upload.roles)
    return hashlib.sha256(header.encode() + content).digest()


def _described_bytes(dataset: Dataset) -> int:
    """About how many bytes a dataset's description takes, as one message."""
    summary = dataset.summary
    columns = sum(16 + len(each.name.encode()) for each in summary.columns)
    return 500 + columns + sum(24 + len(label.encode()) for label, _ in summary.classes)


def _decode_key(key: object) -> tuple[bool, datetime, str]:
    if not isinstance(key, list) or len(key) != 3:
        raise ValueError("not a place in a list of datasets")
    return bool(key[0]), datetime.fromisoformat(key[1]), str(key[2])
