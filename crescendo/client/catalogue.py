"""Datasets and model runs: what can be searched."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import grpc

from crescendo.client import decoding
from crescendo.client.connection import PAGE_SIZE, Connection, pages
from crescendo.client.model import Dataset, DatasetRoles, ModelRun, ModelType, Step
from crescendo.client.requests import optional_fields, step_to_proto, upload_parts
from crescendo.client.values import Parameters, json_value
from tuning.v1 import dataset_service_pb2 as dataset_rpc
from tuning.v1 import model_service_pb2 as model_rpc


class Catalogue(Connection):
    """Keeps datasets and model runs."""

    def upload_dataset(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        target: str,
        name: str | None = None,
        task: str | None = None,
        roles: DatasetRoles | None = None,
    ) -> Dataset:
        """Uploads a CSV or Parquet file.

        Args:
            source: a path, or a file open for reading bytes.
            target: the column to predict.
            name: for people; the file's name when absent.
            task: `classification` or `regression`; read from the target when absent.
            roles: columns that are no features but groups, times, weights or folds.
        """
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            with path.open("rb") as file:
                return self.upload_dataset(
                    file, target=target, name=name or path.stem, task=task, roles=roles
                )
        parts = upload_parts(source, target=target, name=name or "dataset", task=task, roles=roles)
        try:
            # No deadline: how long it takes depends on the file; a dead server breaks the stream.
            response = self._datasets.UploadDataset(parts)
        except grpc.RpcError as error:
            raise self._store.decode(error) from error
        return decoding.dataset(response.dataset)

    def dataset(self, dataset_id: str) -> Dataset:
        """Describes a dataset."""
        request = dataset_rpc.GetDatasetRequest(dataset_id=dataset_id)
        return decoding.dataset(self._store.call(self._datasets.GetDataset, request).dataset)

    def datasets(self) -> Iterator[Dataset]:
        """Yields all datasets, the built-in ones first."""

        def page(token: str) -> tuple[Iterable[Dataset], str]:
            request = dataset_rpc.ListDatasetsRequest(page_size=PAGE_SIZE, page_token=token)
            answer = self._store.call(self._datasets.ListDatasets, request)
            return map(decoding.dataset, answer.datasets), answer.next_page_token

        return pages(page)

    def delete_dataset(self, dataset_id: str) -> None:
        """Deletes an uploaded dataset that no model run uses."""
        request = dataset_rpc.DeleteDatasetRequest(dataset_id=dataset_id)
        self._store.call(self._datasets.DeleteDataset, request)

    def create_model_run(
        self,
        dataset_id: str,
        model_type: str,
        *,
        fixed: Parameters | None = None,
        steps: Sequence[Step | str] = (),
        experiment: str | None = None,
        request_id: str | None = None,
        validate_only: bool = False,
    ) -> ModelRun:
        """Puts a model type on a dataset, ready to be tuned.

        Args:
            fixed: estimator parameters that no trial changes.
            steps: preprocessing in order; a bare string is a step's type.
        """
        request = model_rpc.CreateModelRunRequest(
            dataset_id=dataset_id,
            model_type=model_type,
            fixed_parameters={name: json_value(value) for name, value in (fixed or {}).items()},
            preprocessing=[step_to_proto(each) for each in steps],
            request_id=request_id or str(uuid.uuid4()),
            validate_only=validate_only,
            **optional_fields(experiment=experiment),
        )
        answer = self._store.call(self._models.CreateModelRun, request)
        return decoding.model_run(answer.model_run)

    def model_run(self, model_run_id: str) -> ModelRun:
        """Describes a model run."""
        request = model_rpc.GetModelRunRequest(model_run_id=model_run_id)
        return decoding.model_run(self._store.call(self._models.GetModelRun, request).model_run)

    def model_runs(self, experiment: str = "") -> Iterator[ModelRun]:
        """Yields model runs, newest first; all when no experiment is given."""

        def page(token: str) -> tuple[Iterable[ModelRun], str]:
            request = model_rpc.ListModelRunsRequest(
                experiment=experiment, page_size=PAGE_SIZE, page_token=token
            )
            answer = self._store.call(self._models.ListModelRuns, request)
            return map(decoding.model_run, answer.model_runs), answer.next_page_token

        return pages(page)

    def model_types(self) -> list[ModelType]:
        """Lists what can be tuned, by name, with its default grid and its preset spaces."""
        answer = self._store.call(self._models.ListModelTypes, model_rpc.ListModelTypesRequest())
        return [decoding.model_type(each) for each in answer.model_types]
