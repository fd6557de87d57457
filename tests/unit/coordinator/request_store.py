"""Model runs, datasets and a store for requests: what is asked for is remembered."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace

import pytest

from services.coordinator.ports import Dataset, Extension, ModelRun
from services.coordinator.service.preview import preview
from services.coordinator.service.requests import (
    RequestIdentity,
)
from services.core.dataset_roles import DatasetRoles
from services.core.errors import AlreadyExists, InvalidRequest, NotFound
from services.core.objective import Step, Task
from services.core.plan import LifecycleState, Plan, RequestKey
from services.core.run import Orchestration
from services.core.space import Value

UUID = "3f2b8c9e-1d4a-4c6b-9a77-0e5d2f1b6c88"
PLAIN = RequestIdentity(
    rpc="Start", request_id="", body_hash=b"b", spec_hash=b"s", validate_only=False
)
ROWS = 150
DATASETS = {
    "iris": Dataset(
        dataset_id="iris",
        task=Task.CLASSIFICATION,
        row_count=ROWS,
        class_counts=(("a", 50), ("b", 50), ("c", 50)),
        class_spans={"a": (0, 49), "b": (50, 99), "c": (100, 149)},
        content_hash="1" * 64,
    ),
    "rare": Dataset(
        dataset_id="rare",
        task=Task.CLASSIFICATION,
        row_count=ROWS,
        class_counts=(("0", 146), ("1", 4)),
        content_hash="2" * 64,
    ),
    "visits": Dataset(
        dataset_id="visits",
        task=Task.CLASSIFICATION,
        row_count=ROWS,
        class_counts=(("no", 90), ("yes", 60)),
        content_hash="4" * 64,
        roles=DatasetRoles(group_column="site", weight_column="w", positive_label="yes"),
        group_count=6,
    ),
    "diabetes": Dataset(
        dataset_id="diabetes",
        task=Task.REGRESSION,
        row_count=442,
        class_counts=(),
        content_hash="3" * 64,
    ),
}


def _model_run(name: str, model_type: str, dataset: str, **fixed: Value) -> ModelRun:
    return ModelRun(
        model_run_id=name,
        dataset_id=dataset,
        model_type=model_type,
        fixed_parameters=fixed,
        steps=(),
    )


MODEL_RUNS = {
    each.model_run_id: each
    for each in (
        _model_run("forest", "random_forest_classifier", "iris"),
        _model_run("fixed-forest", "random_forest_classifier", "iris", n_estimators=7),
        _model_run("svm", "svm_classifier", "iris"),
        _model_run("flattered", "xgboost_classifier", "iris", early_stopping_set="test_fold"),
        _model_run("rare-svm", "svm_classifier", "rare"),
        _model_run("visits-svm", "svm_classifier", "visits"),
        _model_run("visits-neighbors", "k_neighbors_classifier", "visits"),
        _model_run("ridge", "ridge", "diabetes"),
        replace(
            _model_run("scaled-svm", "svm_classifier", "iris"),
            steps=(
                Step(type="standard_scaler", name="scaler"),
                Step(type="pca", name="reduce", parameters={"n_components": 2}),
            ),
        ),
    )
}


class MemoryRequestStore:
    """Model runs and datasets from the tables above; remembers what was created."""

    def __init__(self) -> None:
        self.created: list[Plan] = []
        self.keys: list[RequestKey | None] = []
        self.found = 0
        self.extensions: list[tuple[Extension, RequestKey]] = []

    async def find_request(self, key: RequestKey) -> Orchestration | None:
        self.found += 1
        for plan, earlier in zip(self.created, self.keys, strict=True):
            if earlier is not None and earlier.request_id == key.request_id:
                if earlier.body_hash != key.body_hash:
                    raise AlreadyExists("another body")
                return replace(preview(plan), orchestration_id="o")
        return None

    async def get_model_run(self, model_run_id: str) -> ModelRun:
        if model_run_id not in MODEL_RUNS:
            raise NotFound(f"there is no model run {model_run_id}")
        return MODEL_RUNS[model_run_id]

    async def get_dataset(self, dataset_id: str) -> Dataset:
        return DATASETS[dataset_id]

    async def create_orchestration(
        self, plan: Plan, *, key: RequestKey | None, spec_hash: bytes
    ) -> Orchestration:
        self.created.append(plan)
        self.keys.append(key)
        return replace(preview(plan), orchestration_id="o", state=LifecycleState.RUNNING)

    async def extend(self, extension: Extension, *, key: RequestKey) -> Orchestration:
        self.extensions.append((extension, key))
        return replace(preview(self.created[0]), orchestration_id=extension.orchestration_id)

    async def get_orchestration(self, orchestration_id: str) -> Orchestration:
        raise NotFound(orchestration_id)

    async def pause(self, orchestration_id: str) -> Orchestration:
        raise NotFound(orchestration_id)

    async def resume(self, orchestration_id: str) -> Orchestration:
        raise NotFound(orchestration_id)

    async def cancel(self, orchestration_id: str) -> Orchestration:
        raise NotFound(orchestration_id)


async def refused(call: Awaitable[Orchestration]) -> dict[str, str]:
    """The violations a request was refused with, by path."""
    with pytest.raises(InvalidRequest) as refusal:
        await call
    return {each.field: each.description for each in refusal.value.violations}
