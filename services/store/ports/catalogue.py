"""Where datasets and model runs are kept, and how files become datasets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from services.core.dataset_roles import DatasetRoles
from services.core.objective import Task
from services.core.plan import RequestKey
from services.core.violations import Violations
from services.store.ports.results import Dataset, DatasetFormat, DatasetSummary, ModelRun
from services.store.ports.transaction import EarlierRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalDataset:
    """A table in its stored form: one uncompressed Arrow IPC file, the target after the features."""

    path: Path
    summary: DatasetSummary


class DatasetFiles(Protocol):
    """Turns files into canonical datasets; CPU work, off the event loop."""

    def parsed(
        self,
        path: Path,
        *,
        found: Violations,
        file_format: DatasetFormat,
        target_column: str,
        task: Task | None,
        roles: DatasetRoles,
        max_bytes: int,
    ) -> AbstractContextManager[CanonicalDataset]:
        """Reads an uploaded file; the canonical file is removed at the end. Blocks.

        Args:
            found: what is wrong with the request already; refused with what is wrong with the file.

        Raises: InvalidRequest: either breaks rules; every violation found is listed.
        """
        ...

    def built_in(self, dataset_id: str) -> AbstractContextManager[CanonicalDataset]:
        """Makes a built-in dataset. Blocks. Raises: KeyError: there is none with this id."""
        ...

    def built_in_ids(self) -> Sequence[str]:
        """Lists the built-in datasets' ids."""
        ...


class DatasetStore(Protocol):
    """Keeps datasets."""

    async def dataset(self, dataset_id: str) -> Dataset | None:
        """Gives a dataset; None if unknown."""
        ...

    async def datasets(
        self, tenant: str, *, after: tuple[bool, datetime, str] | None, limit: int
    ) -> Sequence[Dataset]:
        """Lists built-in datasets first, then the newest, from after (built_in, created_at, id) on."""
        ...

    async def insert_dataset(
        self,
        canonical: CanonicalDataset,
        *,
        tenant: str,
        dataset_id: str,
        name: str,
        built_in: bool,
        key: RequestKey | None,
    ) -> EarlierRequest | None:
        """Stores a dataset with its bytes and takes the request id, in one transaction.

        A built-in that is there already is left as it is.

        Returns: None when stored, else what the request id was used for (nothing is stored then).
        """
        ...

    async def delete_dataset(self, dataset_id: str) -> int | None:
        """Deletes a dataset unless model runs use it.

        Returns: the number of model runs that use it (0: it was deleted); None if unknown.
        """
        ...

    async def chunk(self, dataset_id: str, index: int) -> bytes | None:
        """Gives one piece, of at most 1 MiB, of a dataset's bytes; None past the end, or if unknown.

        Nothing is held between two pieces: whoever reads them may be slow.
        """
        ...


class ModelRunStore(Protocol):
    """Keeps model runs."""

    async def insert_model_run(
        self, model_run: ModelRun, *, tenant: str, key: RequestKey | None
    ) -> EarlierRequest | None:
        """Stores a model run and takes the request id, in one transaction.

        Returns: None when stored, else what the request id was used for.
        Raises: NotFound: its dataset does not exist (any more).
        """
        ...

    async def model_run(self, model_run_id: str) -> ModelRun | None:
        """Gives a model run; None if unknown."""
        ...

    async def model_runs(
        self, tenant: str, *, experiment: str, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[ModelRun]:
        """Lists model runs, newest first, from after (created_at, id) on."""
        ...
