"""Datasets, model runs and model types over real gRPC."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE

from services.coordinator.adapters.nouns import model_run_from_proto
from services.core.errors import (
    AlreadyExists,
    InvalidRequest,
    WrongState,
)
from services.core.model_catalog import MODEL_TYPES
from services.core.objective import Task
from tests.integration.store.stubs import SECONDS, Stubs, error_of
from tuning.v1 import (
    dataset_pb2,
    dataset_service_pb2,
    model_service_pb2,
    objective_pb2,
    trial_service_pb2,
)


def _upload(content: bytes, *, chunk: int = 7, **header: Any) -> Iterator[Any]:
    request = dataset_service_pb2.UploadDatasetRequest
    yield request(
        header=dataset_service_pb2.UploadHeader(
            **{"name": "mine", "target_column": "label", **header}
        )
    )
    for start in range(0, len(content), chunk):
        yield request(chunk=content[start : start + chunk])


async def test_a_file_is_uploaded_listed_used_and_downloaded(stubs: Stubs) -> None:
    content = b"a,b,label\n" + b"".join(b"%d,%d,%d\n" % (i, i * i, i % 2) for i in range(50))
    uploaded = await stubs.datasets.UploadDataset(_upload(content), timeout=SECONDS)
    dataset = uploaded.dataset
    assert (dataset.row_count, [each.name for each in dataset.columns]) == (50, ["a", "b"])
    assert [(each.label, each.count) for each in dataset.classes] == [("0", 25), ("1", 25)]
    assert [(each.first_row, each.last_row) for each in dataset.classes] == [(0, 48), (1, 49)]
    listed = await stubs.datasets.ListDatasets(
        dataset_service_pb2.ListDatasetsRequest(), timeout=SECONDS
    )
    assert len(listed.datasets) == 6
    request = trial_service_pb2.DownloadDatasetRequest(dataset_id=dataset.dataset_id)
    pieces = [each.chunk async for each in stubs.trials.DownloadDataset(request, timeout=SECONDS)]
    assert sum(map(len, pieces)) == dataset.size_bytes
    created = await stubs.models.CreateModelRun(
        model_service_pb2.CreateModelRunRequest(
            dataset_id=dataset.dataset_id, model_type="svm_classifier"
        ),
        timeout=SECONDS,
    )
    assert created.model_run.experiment == "default"
    delete = dataset_service_pb2.DeleteDatasetRequest(dataset_id=dataset.dataset_id)
    error = await error_of(stubs.datasets.DeleteDataset(delete, timeout=SECONDS))
    assert isinstance(error, WrongState)


async def test_uploads_without_header_or_with_two_are_refused(stubs: Stubs) -> None:
    request = dataset_service_pb2.UploadDatasetRequest
    parts = list(_upload(b"a,label\n1,2\n"))
    for bad in ([], parts[1:], [parts[0], parts[0]], [request()]):
        error = await error_of(stubs.datasets.UploadDataset(iter(bad), timeout=SECONDS))
        assert isinstance(error, InvalidRequest)
        assert error.violations[0].field == "header"


async def test_a_model_run_is_checked_in_one_answer(stubs: Stubs) -> None:
    request = model_service_pb2.CreateModelRunRequest(
        dataset_id="sklearn:wine",
        model_type="svm_clasifier",
        preprocessing=[
            objective_pb2.PreprocessingStep(type="standard_scaler"),
            objective_pb2.PreprocessingStep(type="nonsense"),
        ],
    )
    error = await error_of(stubs.models.CreateModelRun(request, timeout=SECONDS))
    assert isinstance(error, InvalidRequest)
    assert [each.field for each in error.violations] == ["model_type", "preprocessing[1].type"]
    assert "svm_classifier" in error.violations[0].description
    request.dataset_id = ""
    error = await error_of(stubs.models.CreateModelRun(request, timeout=SECONDS))
    assert isinstance(error, InvalidRequest)
    assert [each.field for each in error.violations] == [
        "dataset_id",
        "model_type",
        "preprocessing[1].type",
    ]


async def test_model_runs_keep_typed_values_and_repeat_safely(stubs: Stubs) -> None:
    request = model_service_pb2.CreateModelRunRequest(
        dataset_id="sklearn:wine",
        model_type="random_forest_classifier",
        request_id=str(uuid.uuid4()),
    )
    request.fixed_parameters["n_estimators"].number_value = 50
    request.fixed_parameters["max_depth"].null_value = NULL_VALUE
    request.fixed_parameters["max_features"].struct_value["float_value"] = 1.0
    step = request.preprocessing.add(type="standard_scaler", name="scale")
    step.parameters["with_mean"].bool_value = False
    checked = type(request)()
    checked.CopyFrom(request)
    checked.validate_only = True
    # The id is looked up first, and only checking takes none.
    preview = await stubs.models.CreateModelRun(checked, timeout=SECONDS)
    assert preview.model_run.model_run_id == ""
    first = await stubs.models.CreateModelRun(request, timeout=SECONDS)
    again = await stubs.models.CreateModelRun(request, timeout=SECONDS)
    assert first == again
    model_run = first.model_run
    assert model_run.fixed_parameters["n_estimators"].number_value == 50
    assert model_run.fixed_parameters["max_depth"].WhichOneof("kind") == "null_value"
    # All features, and not one: whoever reads the model run must know which.
    assert model_run_from_proto(model_run).fixed_parameters["max_features"] == 1.0
    assert type(model_run_from_proto(model_run).fixed_parameters["max_features"]) is float
    assert model_run.preprocessing[0].name == "scale"
    request.model_type = "extra_trees_classifier"
    error = await error_of(stubs.models.CreateModelRun(request, timeout=SECONDS))
    assert isinstance(error, AlreadyExists)
    listed = await stubs.models.ListModelRuns(
        model_service_pb2.ListModelRunsRequest(), timeout=SECONDS
    )
    assert [each.model_run_id for each in listed.model_runs] == [model_run.model_run_id]


async def test_model_types_are_listed_with_their_grids_and_preset_spaces(stubs: Stubs) -> None:
    request = model_service_pb2.ListModelTypesRequest(task=dataset_pb2.TASK_REGRESSION)
    listed = (await stubs.models.ListModelTypes(request, timeout=SECONDS)).model_types
    names = [each.model_type for each in listed]
    assert names == sorted(
        each.name for each in MODEL_TYPES.values() if each.task is Task.REGRESSION
    )
    (xgboost,) = [each for each in listed if each.model_type == "xgboost_regressor"]
    assert (xgboost.library, xgboost.task) == ("xgboost", dataset_pb2.TASK_REGRESSION)
    grid = {each.name: each for each in xgboost.default_grid.parameters}
    assert [each.int_value for each in grid["max_depth"].grid.values] == [4, 6, 8]
    assert [each.space_type for each in xgboost.preset_spaces] == [1, 2, 3]
    widths = [
        next(each for each in preset.space.parameters if each.name == "learning_rate").float_range
        for preset in xgboost.preset_spaces
    ]
    assert [(each.low, each.high, each.log) for each in widths] == [
        (0.05, 0.15, True),
        (0.01, 0.2, True),
        (0.001, 0.3, True),
    ]
    everything = await stubs.models.ListModelTypes(
        model_service_pb2.ListModelTypesRequest(), timeout=SECONDS
    )
    assert len(everything.model_types) == len(MODEL_TYPES)


async def test_text_with_nul_is_refused(stubs: Stubs) -> None:
    request = model_service_pb2.CreateModelRunRequest(
        experiment="a\x00b", dataset_id="sklearn:wine", model_type="svm_classifier"
    )
    error = await error_of(stubs.models.CreateModelRun(request, timeout=SECONDS))
    assert isinstance(error, InvalidRequest)
