"""Datasets and model runs, in Postgres."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from services.common.convert.objectives import column_kind_to_proto, evaluation_from_proto
from services.common.convert.values import assignment_from_proto, assignment_to_proto
from services.core.dataset_roles import DatasetRoles
from services.core.objective import Task
from services.core.plan import RequestKey
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.queries import QUERIES
from services.store.adapters.postgres.transaction import reserve_request
from services.store.ports.catalogue import CanonicalDataset
from services.store.ports.results import Column, Dataset, DatasetSummary, ModelRun
from services.store.ports.transaction import EarlierRequest
from services.store.service.identifiers import not_found
from tuning.v1 import objective_pb2, search_space_pb2

CHUNK_BYTES = 1024 * 1024
# The columns are named as the attributes of DatasetRoles.
_ROLES = tuple(each.name for each in fields(DatasetRoles))


class PostgresDatasets:
    """Keeps datasets; the port says what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def dataset(self, dataset_id: str) -> Dataset | None:
        """Gives a dataset."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(QUERIES["dataset"], dataset_id)
        return None if row is None else _dataset_of(row)

    async def datasets(
        self, tenant: str, *, after: tuple[bool, datetime, str] | None, limit: int
    ) -> Sequence[Dataset]:
        """Lists built-in datasets first, then the newest."""
        built_in, created_at, dataset_id = after or (None, None, None)
        async with self._database.reading() as connection:
            found = await connection.fetch(
                QUERIES["datasets"], tenant, built_in, created_at, dataset_id, limit
            )
        return [_dataset_of(row) for row in found]

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
        """Stores a dataset with its bytes and takes the request id."""
        async with self._database.transferring() as connection, connection.transaction():
            if key is not None:
                earlier = await reserve_request(connection, tenant, key, dataset_id)
                if earlier is not None:
                    return earlier
            inserted = await connection.fetchval(
                QUERIES["insert_dataset"], *_columns(canonical, tenant, dataset_id, name, built_in)
            )
            if inserted is not None:
                # Piece by piece: the file is never in memory as a whole.
                for index, chunk in enumerate(_pieces(canonical.path)):
                    await connection.execute(QUERIES["insert_chunk"], dataset_id, index, chunk)
        return None

    async def delete_dataset(self, dataset_id: str) -> int | None:
        """Deletes a dataset unless model runs use it."""
        async with self._database.writing() as connection:
            # The lock keeps model runs from being created on it meanwhile.
            if await connection.fetchval(QUERIES["lock_dataset"], dataset_id) is None:
                return None
            users: int = await connection.fetchval(QUERIES["count_model_runs"], dataset_id)
            if users == 0:
                await connection.execute(QUERIES["delete_dataset"], dataset_id)
            return users

    async def chunk(self, dataset_id: str, index: int) -> bytes | None:
        """Gives one piece of a dataset's bytes."""
        async with self._database.transferring() as connection:
            found: bytes | None = await connection.fetchval(QUERIES["chunk"], dataset_id, index)
        return found


class PostgresModelRuns:
    """Keeps model runs; the port says what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert_model_run(
        self, model_run: ModelRun, *, tenant: str, key: RequestKey | None
    ) -> EarlierRequest | None:
        """Stores a model run and takes the request id."""
        async with self._database.writing() as connection:
            if key is not None:
                earlier = await reserve_request(connection, tenant, key, model_run.model_run_id)
                if earlier is not None:
                    return earlier
            try:
                await connection.execute(
                    QUERIES["insert_model_run"],
                    model_run.model_run_id,
                    tenant,
                    model_run.experiment,
                    model_run.dataset_id,
                    model_run.model_type,
                    assignment_to_proto(model_run.fixed_parameters).SerializeToString(),
                    _encoded_steps(model_run),
                )
            except asyncpg.ForeignKeyViolationError as error:
                raise not_found("dataset", model_run.dataset_id) from error
        return None

    async def model_run(self, model_run_id: str) -> ModelRun | None:
        """Gives a model run."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(QUERIES["model_run"], model_run_id)
        return None if row is None else _model_run_of(row)

    async def model_runs(
        self, tenant: str, *, experiment: str, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[ModelRun]:
        """Lists model runs, newest first."""
        created_at, identifier = before or (None, None)
        async with self._database.reading() as connection:
            found = await connection.fetch(
                QUERIES["model_runs"], tenant, experiment, created_at, identifier, limit
            )
        return [_model_run_of(row) for row in found]


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


def _columns(
    canonical: CanonicalDataset, tenant: str, dataset_id: str, name: str, built_in: bool
) -> tuple[Any, ...]:
    summary = canonical.summary
    return (
        dataset_id,
        tenant,
        name,
        summary.task.value,
        summary.target_column,
        summary.row_count,
        [each.name for each in summary.columns],
        [each.type for each in summary.columns],
        [each.missing_count for each in summary.columns],
        [label for label, _ in summary.classes],
        [count for _, count in summary.classes],
        summary.content_hash,
        summary.size_bytes,
        built_in,
        *(getattr(summary.roles, name) for name in _ROLES),
        summary.group_count,
        summary.fold_count,
        [first for first, _ in summary.class_spans],
        [last for _, last in summary.class_spans],
    )


def _dataset_of(row: Any) -> Dataset:
    return Dataset(
        dataset_id=row["dataset_id"],
        name=row["name"],
        summary=DatasetSummary(
            task=Task(row["task"]),
            target_column=row["target_column"],
            row_count=row["row_count"],
            columns=tuple(
                Column(name=name, type=kind, missing_count=missing)
                for name, kind, missing in zip(
                    row["column_names"], row["column_types"], row["missing_counts"], strict=True
                )
            ),
            classes=tuple(zip(row["class_labels"], row["class_counts"], strict=True)),
            content_hash=row["content_hash"],
            size_bytes=row["size_bytes"],
            roles=DatasetRoles(**{name: row[name] for name in _ROLES}),
            group_count=row["group_count"],
            fold_count=row["fold_count"],
            class_spans=tuple(zip(row["class_first_rows"], row["class_last_rows"], strict=True)),
        ),
        built_in=row["built_in"],
        created_at=row["created_at"],
    )


def _encoded_steps(model_run: ModelRun) -> bytes:
    spec = objective_pb2.EvaluationSpec(
        steps=[
            objective_pb2.StepSpec(
                type=each.type,
                name=each.name,
                parameters=assignment_to_proto(each.parameters),
                columns=column_kind_to_proto(each.columns),
            )
            for each in model_run.steps
        ]
    )
    return spec.SerializeToString()


def _model_run_of(row: Any) -> ModelRun:
    steps = evaluation_from_proto(objective_pb2.EvaluationSpec.FromString(row["steps_proto"])).steps
    return ModelRun(
        model_run_id=row["model_run_id"],
        experiment=row["experiment"],
        dataset_id=row["dataset_id"],
        model_type=row["model_type"],
        fixed_parameters=assignment_from_proto(
            search_space_pb2.Assignment.FromString(row["fixed_parameters_proto"])
        ),
        steps=steps,
        created_at=row["created_at"],
    )
