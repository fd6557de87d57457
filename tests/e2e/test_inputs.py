"""Uploads, and requests that are refused with everything that is wrong with them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from tests.support.clients import Client, violations
from tuning.v1 import (
    dataset_pb2,
    dataset_service_pb2,
    model_service_pb2,
    orchestration_pb2,
    orchestration_service_pb2,
    run_service_pb2,
    trial_pb2,
)

TABLE = "\n".join(
    ["width,height,colour,kind"]
    + [f"{n}.5,{n % 7},{'red' if n % 2 else 'blue'},{'ab'[n % 3 == 0]}" for n in range(60)]
)


@pytest.fixture(scope="module")
def forest(client: Client) -> str:
    return client.create_model_run("sklearn:iris", "random_forest_classifier")


def _refused(call: Callable[[], object], code: grpc.StatusCode) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code, caught.value.details()
    return caught.value


def _orchestrations(client: Client) -> int:
    request = run_service_pb2.ListOrchestrationsRequest(page_size=1000)
    return len(client.runs.ListOrchestrations(request).orchestrations)


def test_an_uploaded_csv_is_described_tuned_and_only_deleted_when_unused(client: Client) -> None:
    dataset = client.upload(TABLE.encode(), target="kind", name="shapes")
    assert dataset.name == "shapes"
    assert dataset.task == dataset_pb2.TASK_CLASSIFICATION
    assert dataset.row_count == 60
    assert [(column.name, column.type) for column in dataset.columns] == [
        ("width", "float"),
        ("height", "int"),
        ("colour", "string"),
    ]
    assert {each.label: each.count for each in dataset.classes} == {"a": 40, "b": 20}

    listed = client.datasets.ListDatasets(dataset_service_pb2.ListDatasetsRequest()).datasets
    assert [each.dataset_id for each in listed[:5]] == [
        f"sklearn:{name}" for name in ("breast_cancer", "diabetes", "digits", "iris", "wine")
    ] or {each.dataset_id for each in listed if each.built_in} >= {"sklearn:wine", "sklearn:iris"}

    again = client.upload(TABLE.encode(), target="kind", name="shapes again")
    assert again.content_hash == dataset.content_hash

    model_run_id = client.create_model_run(
        dataset.dataset_id,
        "logistic_regression",
        preprocessing=[{"type": "one_hot_encoder"}, {"type": "standard_scaler"}],
    )
    started = client.start_tuning(
        {
            "model_run_id": model_run_id,
            "param_grid": {"C": [0.1, 1, 10]},
            "cv_folds": 3,
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == orchestration_pb2.LIFECYCLE_STATE_COMPLETED
    assert ended.counts.succeeded == 3

    delete = dataset_service_pb2.DeleteDatasetRequest(dataset_id=dataset.dataset_id)
    _refused(lambda: client.datasets.DeleteDataset(delete), grpc.StatusCode.FAILED_PRECONDITION)
    unused = client.upload(TABLE.replace("red", "green").encode(), target="kind")
    client.datasets.DeleteDataset(
        dataset_service_pb2.DeleteDatasetRequest(dataset_id=unused.dataset_id)
    )
    get = dataset_service_pb2.GetDatasetRequest(dataset_id=unused.dataset_id)
    _refused(lambda: client.datasets.GetDataset(get), grpc.StatusCode.NOT_FOUND)


def test_a_csv_with_numbers_as_target_is_a_regression(client: Client) -> None:
    rows = ["x,y"] + [f"{n},{n * 0.37:.3f}" for n in range(50)]
    dataset = client.upload("\n".join(rows).encode(), target="y")
    assert dataset.task == dataset_pb2.TASK_REGRESSION
    model_run_id = client.create_model_run(dataset.dataset_id, "ridge")
    started = client.start_tuning(
        {
            "model_run_id": model_run_id,
            "param_grid": {"alpha": [0.1, 1]},
            "cv_folds": 3,
        }
    )
    assert started.scoring_metric == "r2"
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == orchestration_pb2.LIFECYCLE_STATE_COMPLETED


@pytest.mark.parametrize(
    ("content", "header", "words"),
    [
        (TABLE, {"target": "shape"}, "shape"),
        (TABLE + "\n1,2,3,4,5", {"target": "kind"}, ""),
        ("a,b\n1,x\n2,x\n3,x", {"target": "b"}, "class"),
        (TABLE, {"target": "kind", "task": dataset_pb2.TASK_REGRESSION}, "number"),
        ("", {"target": "kind"}, ""),
    ],
    ids=["no such target", "ragged rows", "one class", "text for regression", "empty"],
)
def test_a_file_that_makes_no_dataset_is_refused(
    client: Client, content: str, header: dict[str, Any], words: str
) -> None:
    error = _refused(
        lambda: client.upload(content.encode(), **header), grpc.StatusCode.INVALID_ARGUMENT
    )
    assert violations(error)
    assert words in str(violations(error))


def test_every_violation_of_a_request_is_listed_and_nothing_is_created(
    client: Client, forest: str
) -> None:
    before = _orchestrations(client)
    error = _refused(
        lambda: client.start_progressive_search(
            {
                "model_run_id": forest,
                "initial_param_grid": {
                    "n_estimators": [10, "many"],
                    "max_depth": [],
                    "colour": [1],
                },
                "refinement_factor": 1.5,
                "cv_folds": 1,
                "scoring_metric": "neg_mean_squared_error",
                "n_iter_random": -1,
                "max_concurrent_trials": -2,
            }
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    found = violations(error)
    for field in (
        "n_estimators",
        "max_depth",
        "colour",
        "refinement_factor",
        "cv_folds",
        "scoring_metric",
        "n_iter_random",
        "max_concurrent_trials",
    ):
        assert any(field in path for path in found), f"{field} is missing in {found}"
    assert _orchestrations(client) == before


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"initial_param_grid": {"n_estimators": [1.5]}}, "n_estimators", ""),
        ({"initial_param_grid": {"max_depth": [[5, 10]]}}, "max_depth", ""),
        ({"initial_param_grid": {"min_impurity_decrease": ["NaN"]}}, "min_impurity_decrease", ""),
        ({"refinement_factor": 0}, "refinement_factor", "(0, 1]"),
        ({"refinement_factor": "NaN"}, "refinement_factor", ""),
        ({"cv_folds": 51}, "cv_folds", "50"),
        ({"scoring_metric": "beauty"}, "scoring_metric", "accuracy"),
        ({"n_iter_bayesian": 200_000}, "n_iter_bayesian", "100"),
        ({"model_run_id": ""}, "model_run_id", ""),
        ({"request_id": "not-a-uuid"}, "request_id", "UUID"),
    ],
)
def test_a_wrong_value_is_refused_by_path(
    client: Client, forest: str, change: Mapping[str, Any], path: str, words: str
) -> None:
    error = _refused(
        lambda: client.start_progressive_search({"model_run_id": forest, **change}),
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    found = violations(error)
    assert any(path in each for each in found), found
    assert words in str(found)


def test_a_grid_of_a_million_million_points_is_refused_at_once(client: Client, forest: str) -> None:
    grid = {
        "n_estimators": list(range(1, 1001)),
        "max_depth": list(range(1, 1001)),
        "min_samples_leaf": list(range(1, 1001)),
        "min_samples_split": list(range(2, 1002)),
    }
    error = _refused(
        lambda: client.start_progressive_search(
            {
                "model_run_id": forest,
                "initial_param_grid": grid,
            }
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    text = str(violations(error)).replace(",", "").replace("_", "").replace(" ", "")
    assert "1000000000000" in text
    assert "1000000" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "oracle"}, "random_forest_classifier"),
        ({"model_type": "ridge"}, "regress"),
        ({"fixed_parameters": {"n_estimators": "many", "wings": 2}}, "wings"),
        ({"fixed_parameters": {"n_jobs": 4}}, "n_jobs"),
        ({"preprocessing": [{"type": "polish"}]}, "standard_scaler"),
    ],
)
def test_a_wrong_model_run_is_refused(
    client: Client, change: Mapping[str, Any], words: str
) -> None:
    body = {"dataset_id": "sklearn:iris", "model_type": "random_forest_classifier", **change}
    request = ParseDict(body, model_service_pb2.CreateModelRunRequest())
    error = _refused(
        lambda: client.models.CreateModelRun(request), grpc.StatusCode.INVALID_ARGUMENT
    )
    assert words in str(violations(error))


@pytest.mark.parametrize("unknown", [str(uuid.uuid4()), "nonsense"], ids=["uuid", "no uuid"])
def test_unknown_ids_are_not_found(client: Client, unknown: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: client.get(unknown),
        lambda: client.best_model(unknown),
        lambda: client.refinements(unknown),
        lambda: list(client.events(unknown)),
        lambda: client.runs.GetTuningRun(
            run_service_pb2.GetTuningRunRequest(tuning_run_id=unknown)
        ),
        lambda: client.create_model_run(unknown, "svm_classifier"),
        lambda: client.start_progressive_search({"model_run_id": unknown}),
        lambda: client.orchestrations.PauseOrchestration(
            orchestration_service_pb2.PauseOrchestrationRequest(orchestration_id=unknown)
        ),
    ]
    for call in calls:
        error = _refused(call, grpc.StatusCode.NOT_FOUND)
        assert unknown in str(error.details())


def test_a_comparison_of_the_same_model_run_twice_is_refused(client: Client, forest: str) -> None:
    error = _refused(
        lambda: client.start_comparison({"model_run_ids": [forest, forest]}),
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    assert any("model_run_ids" in path for path in violations(error))
    error = _refused(
        lambda: client.start_comparison(
            {
                "model_run_ids": [forest],
                "tuning_method": "guessing",
            }
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    assert "random_search" in str(violations(error))


def test_splits_without_a_class_and_candidates_no_fit_can_take_are_told(client: Client) -> None:
    # Iris is sorted by class.
    model_run_id = client.create_model_run("sklearn:iris", "k_neighbors_classifier")
    started = client.start_tuning(
        {
            "model_run_id": model_run_id,
            "param_grid": {"n_neighbors": [3, 50]},
            "splitter": {"type": "time_series_split", "n_splits": 2},
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    (notice,) = (
        each.notice
        for each in client.events(started.orchestration_id)
        if each.WhichOneof("payload") == "notice"
    )
    assert notice.reason == "CLASSES_NOT_TRAINED_ON"
    assert notice.message.startswith("2 of 2 splits train without a class")
    assert (ended.counts.succeeded, ended.counts.failed) == (2, 0)

    started = client.start_tuning(
        {"model_run_id": model_run_id, "param_grid": {"n_neighbors": [3, 140]}, "cv_folds": 3}
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == orchestration_pb2.LIFECYCLE_STATE_COMPLETED
    _, refused = client.trials(started.orchestration_id)
    assert refused.failure.kind == trial_pb2.FAILURE_KIND_INVALID_PARAMETERS
    assert refused.failure.message.startswith("Expected n_neighbors <= n_samples_fit")
