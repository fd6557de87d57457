"""Reading requests: defaults only where nothing was set, and hashes of what was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import json_format

from services.coordinator.adapters.request_identity import (
    read_extension_identity,
    read_identity,
)
from services.coordinator.adapters.request_reader import (
    read_comparison,
    read_cross_validation,
    read_extension,
    read_progressive_search,
    read_tuning,
)
from services.core.pruning_settings import StepKind
from services.core.splitting import Splitter
from tuning.v1.orchestration_pb2 import Budget
from tuning.v1.orchestration_service_pb2 import (
    ExtendOrchestrationRequest,
    StartMultiModelComparisonRequest,
    StartPlanRequest,
    StartProgressiveSearchRequest,
)
from tuning.v1.presets_pb2 import ConfigType, SpaceType
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
    assert (request.n_iter_bayesian, request.cv_folds, request.refinement_factor) == (30, None, 0.3)


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


@pytest.mark.parametrize(
    ("message", "larger"),
    [
        (StartTuningRequest(study_name="s"), {"n_iter": 20}),
        (StartTuningRequest(study_name="s", n_iter=10), {"n_iter": 20}),
        (StartProgressiveSearchRequest(), {"n_iter_bayesian": 40}),
        (StartMultiModelComparisonRequest(), {"budget": {"max_trials": 9}}),
        (StartTuningRequest(), {"budget": {"max_seconds": 60, "max_cost": 2}}),
        (
            StartTuningRequest(budget=Budget(max_failed_trials=1)),
            {"budget": {"max_failed_trials": 3}},
        ),
    ],
)
def test_a_larger_total_or_limit_is_the_same_study(message: Any, larger: dict[str, object]) -> None:
    first = read_identity("Start", message)
    second = read_identity(
        "Start", parsed(type(message).FromString(message.SerializeToString()), **larger)
    )
    assert first.spec_hash == second.spec_hash
    assert first.body_hash != second.body_hash


@pytest.mark.parametrize(
    ("message", "fields", "same"),
    [
        (StartTuningRequest(), {}, True),
        (StartTuningRequest(tuning_method="tpe"), {"space_type": "SPACE_TYPE_DEFAULT"}, True),
        # The grid has more points then.
        (StartTuningRequest(), {"space_type": "SPACE_TYPE_DEFAULT"}, False),
        # The random stage is longer, and the last one rests on it; but for one that says how long.
        (StartProgressiveSearchRequest(), {}, False),
        (StartProgressiveSearchRequest(), {"n_iter_random": 7}, True),
        (StartPlanRequest(), {"stages": [{"method": "sobol"}, {"method": "tpe"}]}, False),
        (StartPlanRequest(), {"stages": [{"method": "grid_search"}, {"method": "tpe"}]}, True),
    ],
)
def test_a_larger_config_is_the_same_study_where_it_only_adds_to_the_end(
    message: Any, fields: dict[str, object], same: bool
) -> None:
    hashes = [
        read_identity(
            "Start",
            parsed(
                type(message).FromString(message.SerializeToString()),
                config_type=f"CONFIG_TYPE_{size}",
                **fields,
            ),
        ).spec_hash
        for size in ("CONSERVATIVE", "AGGRESSIVE")
    ]
    assert (hashes[0] == hashes[1]) is same


@pytest.mark.parametrize(
    "other",
    [
        {"n_iter_random": 40},
        {"budget": {"trial_timeout_seconds": 3}},
        {"budget": {"price_per_hour": 3, "max_trials": 2}},
        {"priority": 1},
        {"worker_class": "gpu"},
        {"cv_folds": 3},
    ],
)
def test_anything_else_is_another_study(other: dict[str, object]) -> None:
    first = read_identity("Start", StartProgressiveSearchRequest())
    second = read_identity("Start", parsed(StartProgressiveSearchRequest(), **other))
    assert first.spec_hash != second.spec_hash


def test_limits_that_were_set_are_read_and_no_others() -> None:
    request = read_tuning(
        parsed(
            StartTuningRequest(),
            model_run_id="m",
            budget={"max_trials": 0, "max_cost": 1.5},
            priority=-3,
            worker_class="gpu",
        )
    )
    assert request.budget == {"max_trials": 0, "max_cost": 1.5}
    assert (request.priority, request.worker_class) == (-3, "gpu")
    assert read_tuning(StartTuningRequest(model_run_id="m")).worker_class == "default"


def test_an_extension_is_read_with_what_makes_it_safe_to_repeat() -> None:
    message = ExtendOrchestrationRequest(
        orchestration_id="o", additional_trials=5, additional_seconds=1.5, request_id="x"
    )
    request = read_extension(message)
    assert (request.orchestration_id, request.additional_trials) == ("o", 5)
    assert (request.additional_seconds, request.additional_cost) == (1.5, 0.0)
    identity = read_extension_identity(message)
    other = ExtendOrchestrationRequest(orchestration_id="p", additional_trials=5)
    assert identity.request_id == "x"
    assert identity.body_hash != read_extension_identity(other).body_hash


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


_ONE = {"intValue": 1}
_SPACE: dict[str, Any] = {
    "parameters": [
        {
            "name": "kernel",
            "choices": {"values": [{"stringValue": "rbf"}, {"stringValue": "poly"}]},
        },
        {"name": "w", "floatRange": {"high": 1.0}},
        {"name": "v", "floatRange": {"high": 1.0}},
        {"name": "level", "grid": {"values": [_ONE, {"intValue": 2}]}},
        {
            "name": "degree",
            "intRange": {"low": 2, "high": 5},
            "condition": {"parent": "kernel", "values": [{"stringValue": "poly"}]},
            "furtherConditions": [{"parent": "level", "values": [_ONE, {"intValue": 2}]}],
        },
    ],
    "constraints": [{"sumToOne": {"names": ["v", "w"]}}],
}


def _hash_of(space: Mapping[str, Any]) -> bytes:
    message = parsed(StartTuningRequest(), search_space=space)
    return read_identity("StartTuning", message).spec_hash


def test_the_hash_of_a_typed_space_does_not_depend_on_its_order() -> None:
    degree = _SPACE["parameters"][-1]
    turned = {
        "parameters": [
            {
                **degree,
                "condition": {"parent": "level", "values": [{"intValue": 2}, _ONE]},
                "furtherConditions": [degree["condition"]],
            },
            *reversed(_SPACE["parameters"][:-1]),
        ],
        "constraints": [{"sumToOne": {"names": ["w", "v"]}}],
    }
    assert _hash_of(turned) == _hash_of(_SPACE)
    assert _hash_of({"alternatives": [turned]}) == _hash_of({"alternatives": [_SPACE]})


@pytest.mark.parametrize("value", [{"floatValue": 1.0}, {"boolValue": True}, {"stringValue": "1"}])
def test_the_hash_of_a_typed_space_tells_types_apart(value: dict[str, Any]) -> None:
    level = {"name": "level", "grid": {"values": [value, {"intValue": 2}]}}
    others = [each for each in _SPACE["parameters"] if each["name"] != "level"]
    assert _hash_of({**_SPACE, "parameters": [*others, level]}) != _hash_of(_SPACE)


def test_the_hash_of_a_typed_space_keeps_to_orders_that_mean_something() -> None:
    ordered = {**_SPACE, "constraints": [{"ordered": {"names": ["v", "w"]}}]}
    turned = {**_SPACE, "constraints": [{"ordered": {"names": ["w", "v"]}}]}
    assert _hash_of(ordered) != _hash_of(turned)


@pytest.mark.parametrize(("scale", "read"), [({}, None), ({"log": False}, False)])
def test_a_scale_of_choices_is_read_where_it_is_set_to_be_refused(
    scale: dict[str, Any], read: bool | None
) -> None:
    kernel = {"name": "kernel", "choices": {"values": [{"stringValue": "rbf"}], **scale}}
    message = parsed(StartTuningRequest(), search_space={"parameters": [kernel]})
    space = read_tuning(message).search_space
    assert space is not None
    assert space.parameters[0].choices_log is read


def test_a_splitter_is_read_with_what_is_set_and_is_part_of_the_study() -> None:
    plain = parsed(StartTuningRequest(), model_run_id="m")
    split = parsed(
        StartTuningRequest(), model_run_id="m", splitter={"type": "k_fold", "shuffle": False}
    )
    assert read_tuning(plain).splitter is None
    assert read_tuning(split).splitter == Splitter(type="k_fold", shuffle=False)
    assert read_identity("r", plain).spec_hash != read_identity("r", split).spec_hash


def test_a_config_brings_trials_and_time_where_the_request_does_not() -> None:
    tuning = read_tuning(StartTuningRequest(config_type=ConfigType.CONFIG_TYPE_AGGRESSIVE))
    assert (tuning.n_iter, tuning.budget) == (100, {"max_seconds": 7200.0})
    given = read_tuning(
        StartTuningRequest(
            config_type=ConfigType.CONFIG_TYPE_AGGRESSIVE,
            n_iter=7,
            budget=Budget(max_seconds=30, max_trials=3),
        )
    )
    assert (given.n_iter, given.budget) == (7, {"max_seconds": 30.0, "max_trials": 3})
    progressive = read_progressive_search(
        StartProgressiveSearchRequest(
            config_type=ConfigType.CONFIG_TYPE_CONSERVATIVE, n_iter_bayesian=4
        )
    )
    assert (progressive.n_iter_random, progressive.n_iter_bayesian) == (2, 4)
    comparison = read_comparison(
        StartMultiModelComparisonRequest(config_type=ConfigType.CONFIG_TYPE_DEFAULT)
    )
    assert (comparison.n_iter, comparison.budget) == (50, {"max_seconds": 3600.0})


def test_presets_are_read_by_name_and_unknown_numbers_as_they_are() -> None:
    request = read_tuning(StartTuningRequest(space_type=SpaceType.SPACE_TYPE_DEFAULT))
    assert (request.space_type, request.config_type, request.budget) == ("default", "", {})
    assert request.n_iter == 20
    later = StartTuningRequest.FromString(b"\xc0\x02\x09\xc8\x02\x08")
    assert (read_tuning(later).space_type, read_tuning(later).config_type) == ("9", "8")


def test_pruning_is_read_with_what_is_set_and_is_part_of_the_study() -> None:
    plain = parsed(StartTuningRequest(), model_run_id="m")
    bare = parsed(StartTuningRequest(), model_run_id="m", pruning={})
    keeping = parsed(StartTuningRequest(), model_run_id="m", pruning={"keep": 0})
    assert read_tuning(plain).pruning is None
    assert read_tuning(bare).pruning == {}
    assert read_tuning(keeping).pruning == {"keep": 0}
    racing = parsed(
        StartTuningRequest(),
        model_run_id="m",
        pruning={"rule": "racing", "test": "wilcoxon", "min_splits": 0, "step_kind": 2},
    )
    assert read_tuning(racing).pruning == {
        "rule": "racing",
        "test": "wilcoxon",
        "min_splits": 0,
        "step_kind": StepKind.TRAINING_SIZE,
    }
    hashes = {read_identity("r", each).spec_hash for each in (plain, bare, keeping, racing)}
    assert len(hashes) == 4
