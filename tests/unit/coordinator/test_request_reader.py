"""Reading requests: defaults only where nothing was set, and hashes of what was."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from services.coordinator.adapters.request_reader import (
    read_comparison,
    read_cross_validation,
    read_identity,
    read_progressive_search,
    read_tuning,
)
from tuning.v1.orchestration_service_pb2 import (
    StartMultiModelComparisonRequest,
    StartProgressiveSearchRequest,
)
from tuning.v1.tuning_service_pb2 import StartCrossValidationRequest, StartTuningRequest


def parsed(message: Any, **fields: object) -> Any:
    return json_format.ParseDict(fields, message)


def test_what_is_set_is_read_and_what_is_not_has_its_default() -> None:
    request = read_progressive_search(
        parsed(
            StartProgressiveSearchRequest(),
            model_run_id="m",
            initial_param_grid={"max_depth": [5, None, "x"]},
            n_iter_random=0,
        )
    )
    assert request.initial_param_grid == {"max_depth": [5.0, None, "x"]}
    assert request.n_iter_random == 0
    assert (request.n_iter_bayesian, request.cv_folds, request.refinement_factor) == (30, 5, 0.3)


def test_the_other_requests_are_read_with_all_their_fields() -> None:
    comparison = read_comparison(
        parsed(
            StartMultiModelComparisonRequest(),
            model_run_ids=["a", "b"],
            param_grids={"a": {"C": [1, 10]}},
            parallel=False,
            n_iter=7,
        )
    )
    assert comparison.param_grids == {"a": {"C": [1.0, 10.0]}}
    assert (comparison.parallel, comparison.n_iter) == (False, 7)
    tuning = read_tuning(
        parsed(StartTuningRequest(), model_run_id="m", additional_metrics=["f1"], study_name="s")
    )
    assert (tuning.additional_metrics, tuning.study_name) == (("f1",), "s")
    validation = read_cross_validation(
        parsed(StartCrossValidationRequest(), model_run_id="m", parameters={"C": 10, "b": [1]})
    )
    assert validation.parameters == {"C": 10.0, "b": [1.0]}


def test_a_hash_leaves_out_how_the_request_is_to_be_taken() -> None:
    plain = StartTuningRequest(model_run_id="m", n_iter=5)
    named = StartTuningRequest(model_run_id="m", n_iter=5, request_id="x", validate_only=True)
    first, second = read_identity("StartTuning", plain), read_identity("StartTuning", named)
    assert first.body_hash == second.body_hash
    assert second.validate_only
    assert second.request_id == "x"


def test_a_hash_tells_set_from_unset_and_one_rpc_from_another() -> None:
    unset = read_identity("StartTuning", StartTuningRequest(model_run_id="m"))
    default = read_identity("StartTuning", StartTuningRequest(model_run_id="m", n_iter=20))
    assert unset.body_hash != default.body_hash
    other = read_identity("StartOther", StartTuningRequest(model_run_id="m"))
    assert (other.body_hash == unset.body_hash, other.spec_hash == unset.spec_hash) == (True, False)


def test_a_hash_does_not_depend_on_the_order_of_maps_and_takes_nan() -> None:
    grid = {"C": [1, 10], "gamma": [0.1], "kernel": ["rbf"]}
    forward = parsed(StartTuningRequest(), param_grid=grid)
    backward = parsed(StartTuningRequest(), param_grid=dict(reversed(grid.items())))
    assert (
        read_identity("StartTuning", forward).body_hash
        == read_identity("StartTuning", backward).body_hash
    )
    forward.param_grid["C"].values[0].number_value = float("nan")
    assert (
        read_identity("StartTuning", forward).body_hash
        != read_identity("StartTuning", backward).body_hash
    )
