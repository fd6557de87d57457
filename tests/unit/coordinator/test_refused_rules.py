"""Rules that are refused: how trials are stopped early, and how a result is selected."""

from __future__ import annotations

import pytest

from services.coordinator.service.requests import (
    ComparisonRequest,
    JsonGrid,
    SelectionRequest,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.pruning_settings import StepKind
from services.core.selection import Preference
from tests.unit.coordinator.request_store import PLAIN, refused


async def test_all_that_is_wrong_with_pruning_is_listed_with_the_rest(starting: Starting) -> None:
    found = await refused(
        starting.tuning(
            TuningRequest(model_run_id="forest", cv_folds=1, pruning={"rule": "bold", "keep": 0}),
            PLAIN,
        )
    )
    assert set(found) == {"cv_folds", "pruning.rule", "pruning.keep"}
    assert "lossless" in found["pruning.rule"]


def simplest(*simpler: tuple[str, Preference | None], rule: str = "") -> SelectionRequest:
    return SelectionRequest(rule=rule or "one_standard_error", simpler=simpler)


@pytest.mark.parametrize(
    ("selection", "field", "told"),
    [
        (simplest(rule="two_errors"), "selection.rule", "one_standard_error"),
        (simplest(), "selection.simpler", "name the parameter"),
        (
            simplest(("C", Preference.LOWER), rule="best"),
            "selection.simpler",
            "one_standard_error",
        ),
        (simplest(("C", None)), "selection.simpler[0].prefer", "lower or higher"),
        (
            simplest(("C", Preference.LOWER), ("C", Preference.HIGHER)),
            "selection.simpler[1].parameter",
            "named already",
        ),
        (
            simplest(("kernel", Preference.LOWER)),
            "selection.simpler[0].parameter",
            "svm_classifier: C",
        ),
        (
            simplest(("max_depth", Preference.LOWER), ("C", Preference.LOWER)),
            "selection.simpler[0].parameter",
            '"max_depth" is no parameter with several numbers',
        ),
    ],
)
async def test_a_selection_that_says_nothing_is_refused(
    starting: Starting, selection: SelectionRequest, field: str, told: str
) -> None:
    grid: JsonGrid = {"C": [1, 10], "kernel": ["rbf", "linear"]}
    request = TuningRequest(model_run_id="svm", param_grid=grid, selection=selection)
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {field}
    assert told in found[field]


async def test_the_rule_of_one_standard_error_goes_with_no_pruning(starting: Starting) -> None:
    request = TuningRequest(
        model_run_id="svm",
        param_grid={"C": [1, 10]},
        selection=simplest(("C", Preference.LOWER)),
        pruning={"rule": "lossless"},
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert "leave one of the two out" in found["selection.rule"]


async def test_every_compared_model_needs_something_simpler(starting: Starting) -> None:
    request = ComparisonRequest(
        model_run_ids=("svm", "forest"),
        param_grids={"svm": {"C": [1, 10]}, "forest": {"max_depth": [2, None]}},
        selection=simplest(("max_depth", Preference.LOWER)),
    )
    found = await refused(starting.comparison(request, PLAIN))
    assert "names no parameter of svm_classifier" in found["selection.simpler"]
    assert "add one of: C" in found["selection.simpler"]


@pytest.mark.parametrize(
    ("pruning", "fields"),
    [
        (
            {"rule": "asha", "reduction_factor": 1, "grace_period": 6},
            {"reduction_factor", "grace_period"},
        ),
        ({"rule": "asha", "keep": 3, "warmup_steps": 1}, {"keep", "warmup_steps"}),
        (
            {"rule": "median", "warmup_steps": 5, "interval_steps": 0},
            {"warmup_steps", "interval_steps"},
        ),
        # Five folds are none too many: the race could look only after the last.
        ({"rule": "racing", "level": 0.9}, {"min_splits", "level"}),
        ({"rule": "median", "step_kind": 17, "max_steps": 3}, {"step_kind", "max_steps"}),
        # A support vector machine is not fitted round by round.
        ({"rule": "asha", "step_kind": StepKind.BOOSTING_ROUND}, {"step_kind"}),
        ({"rule": "lossless", "step_kind": StepKind.TRAINING_SIZE}, {"step_kind"}),
        ({"rule": "asha", "min_training_fraction": 0.5}, {"min_training_fraction"}),
        (
            {"rule": "asha", "step_kind": StepKind.TRAINING_SIZE, "min_training_fraction": 1.5},
            {"min_training_fraction"},
        ),
        # Three classes, and the first rung would have two rows.
        (
            {"rule": "median", "step_kind": StepKind.TRAINING_SIZE, "min_training_fraction": 0.01},
            {"min_training_fraction"},
        ),
        # Of the rungs 0.1, 0.4 and 1 the last is no longer judged.
        (
            {"rule": "asha", "step_kind": StepKind.TRAINING_SIZE, "grace_period": 4},
            {"grace_period"},
        ),
    ],
)
async def test_figures_a_rule_cannot_work_with_are_refused_with_the_rest(
    starting: Starting, pruning: dict[str, object], fields: set[str]
) -> None:
    request = TuningRequest(model_run_id="svm", cv_folds=5, scoring_metric="wit", pruning=pruning)
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {"scoring_metric", *(f"pruning.{each}" for each in fields)}


async def test_rounds_are_stopped_between_only_where_nothing_else_ends_a_fit(
    starting: Starting,
) -> None:
    rounds = {"rule": "asha", "step_kind": StepKind.BOOSTING_ROUND}
    request = TuningRequest(model_run_id="svm", pruning=rounds)
    found = await refused(starting.tuning(request, PLAIN))
    assert "svm_classifier is not fitted round by round" in found["pruning.step_kind"]
    assert "gradient_boosting_classifier" in found["pruning.step_kind"]
    request = TuningRequest(
        model_run_id="forest",
        param_grid={"n_estimators": [10.0, 30.0]},
        pruning={**rounds, "grace_period": 31},
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {"pruning.grace_period"}
    assert "must be 1 to 30" in found["pruning.grace_period"]


async def test_a_median_needs_more_trials_than_it_starts_up_with(starting: Starting) -> None:
    pruning = {"rule": "median", "startup_trials": 20}
    request = TuningRequest(
        model_run_id="svm", tuning_method="random_search", n_iter=20, pruning=pruning
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {"pruning.startup_trials"}
    assert "no search runs more than" in found["pruning.startup_trials"]
