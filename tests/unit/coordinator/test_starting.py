"""Requests: every violation at once, defaults, repeats, previews."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from services.coordinator.ports import Dataset, ModelRun
from services.coordinator.service.bell import Bell
from services.coordinator.service.preview import preview
from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    ProgressiveSearchRequest,
    RequestIdentity,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.errors import AlreadyExists, InvalidRequest, NotFound
from services.core.model_catalog import MODEL_TYPES
from services.core.objective import Task
from services.core.plan import LifecycleState, Plan, RequestKey
from services.core.run import Orchestration
from services.core.space import FloatRange, Grid, IntRange

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
        content_hash="1" * 64,
    ),
    "rare": Dataset(
        dataset_id="rare",
        task=Task.CLASSIFICATION,
        row_count=ROWS,
        class_counts=(("0", 146), ("1", 4)),
        content_hash="2" * 64,
    ),
    "diabetes": Dataset(
        dataset_id="diabetes",
        task=Task.REGRESSION,
        row_count=442,
        class_counts=(),
        content_hash="3" * 64,
    ),
}


def _model_run(name: str, model_type: str, dataset: str, **fixed: object) -> ModelRun:
    return ModelRun(
        model_run_id=name,
        dataset_id=dataset,
        model_type=model_type,
        fixed_parameters=fixed,  # type: ignore[arg-type]
        steps=(),
    )


MODEL_RUNS = {
    each.model_run_id: each
    for each in (
        _model_run("forest", "random_forest_classifier", "iris"),
        _model_run("fixed-forest", "random_forest_classifier", "iris", n_estimators=7),
        _model_run("svm", "svm_classifier", "iris"),
        _model_run("rare-svm", "svm_classifier", "rare"),
        _model_run("ridge", "ridge", "diabetes"),
    )
}


class MemoryRequestStore:
    """Model runs and datasets from the tables above; remembers what was created."""

    def __init__(self) -> None:
        self.created: list[Plan] = []
        self.keys: list[RequestKey | None] = []
        self.found = 0

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

    async def get_orchestration(self, orchestration_id: str) -> Orchestration:
        raise NotFound(orchestration_id)

    async def pause(self, orchestration_id: str) -> Orchestration:
        raise NotFound(orchestration_id)

    async def resume(self, orchestration_id: str) -> Orchestration:
        raise NotFound(orchestration_id)

    async def cancel(self, orchestration_id: str) -> Orchestration:
        raise NotFound(orchestration_id)


@pytest.fixture
def store() -> MemoryRequestStore:
    return MemoryRequestStore()


@pytest.fixture
def starting(store: MemoryRequestStore) -> Starting:
    return Starting(store=store, leases=Bell(), trial_timeout_seconds=None)


async def refused(call: Awaitable[Orchestration]) -> dict[str, str]:
    """The violations a request was refused with, by path."""
    with pytest.raises(InvalidRequest) as refusal:
        await call
    return {each.field: each.description for each in refusal.value.violations}


# --- Plans ---


async def test_a_progressive_search_has_three_stages_and_its_defaults(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = ProgressiveSearchRequest(
        model_run_id="forest", initial_param_grid={"max_depth": [5.0, 10.0, None]}
    )
    started = await starting.progressive_search(request, PLAIN)
    (plan,) = store.created
    assert started.orchestration_id == "o"
    assert [stage.method for stage in plan.stages] == ["grid_search", "random_search", "bayesian"]
    assert [stage.refinement_factor for stage in plan.stages] == [None, 0.3, 0.3]
    assert [stage.tuning_runs[0].planned_trials for stage in plan.stages] == [3, 7, 7]
    assert plan.scoring_metric == "accuracy"
    first, second = (stage.tuning_runs[0].space.parameters[0] for stage in plan.stages[:2])
    assert first.domain == Grid(values=(5, 10, None))
    assert second.domain == IntRange(low=5, high=10)
    assert second.specials == (None,)


async def test_without_a_grid_the_model_types_default_one_is_searched(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.progressive_search(ProgressiveSearchRequest(model_run_id="forest"), PLAIN)
    space = store.created[0].stages[0].tuning_runs[0].space
    assert space == MODEL_TYPES["random_forest_classifier"].default_space


async def test_a_default_grid_leaves_out_what_the_model_run_fixes(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(TuningRequest(model_run_id="fixed-forest"), PLAIN)
    run = store.created[0].stages[0].tuning_runs[0]
    assert "n_estimators" not in run.space.names
    assert run.evaluation.fixed_parameters == {"n_estimators": 7}


async def test_a_comparison_has_one_stage_with_a_run_per_model(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = ComparisonRequest(
        model_run_ids=("forest", "svm"),
        param_grids={"svm": {"C": [0.5, 1.0]}},
        parallel=False,
    )
    await starting.comparison(request, PLAIN)
    (stage,) = store.created[0].stages
    assert stage.max_active_tuning_runs == 1
    assert [run.model_run_id for run in stage.tuning_runs] == ["forest", "svm"]
    assert stage.tuning_runs[1].planned_trials == 2


async def test_bayesian_tuning_searches_the_range_a_list_spans(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(
        model_run_id="svm", tuning_method="bayesian", param_grid={"C": [0.1, 1.0, 10.0]}, n_iter=7
    )
    await starting.tuning(request, PLAIN)
    run = store.created[0].stages[0].tuning_runs[0]
    assert run.space.parameters[0].domain == FloatRange(low=0.1, high=10.0, log=True)
    assert run.planned_trials == 7


async def test_a_cross_validation_has_one_trial_and_the_tasks_metrics(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = CrossValidationRequest(model_run_id="svm", parameters={"C": 10.0})
    await starting.cross_validation(request, PLAIN)
    run = store.created[0].stages[0].tuning_runs[0]
    assert run.planned_trials == 1
    assert run.evaluation.metrics[0] == "accuracy"
    assert "f1_weighted" in run.evaluation.metrics


async def test_folds_above_the_smallest_class_are_told_of(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(TuningRequest(model_run_id="rare-svm", cv_folds=5), PLAIN)
    (notice,) = store.created[0].notices
    assert notice.startswith("FOLDS_ABOVE_SMALLEST_CLASS")


# --- Repeats and previews ---


async def test_the_same_request_id_gives_the_same_orchestration(
    starting: Starting, store: MemoryRequestStore
) -> None:
    identity = replace(PLAIN, request_id=UUID)
    request = TuningRequest(model_run_id="svm")
    await starting.tuning(request, identity)
    again = await starting.tuning(request, replace(identity, request_id=UUID.upper()))
    assert again.orchestration_id == "o"
    assert len(store.created) == 1
    with pytest.raises(AlreadyExists):
        await starting.tuning(request, replace(identity, body_hash=b"other"))


async def test_a_repeat_is_found_before_anything_is_checked(
    starting: Starting, store: MemoryRequestStore
) -> None:
    identity = replace(PLAIN, request_id=UUID)
    await starting.tuning(TuningRequest(model_run_id="svm"), identity)
    again = await starting.tuning(TuningRequest(model_run_id="deleted since"), identity)
    assert again.orchestration_id == "o"


async def test_a_preview_creates_nothing_and_has_no_id(
    starting: Starting, store: MemoryRequestStore
) -> None:
    identity = replace(PLAIN, request_id=UUID, validate_only=True)
    request = ProgressiveSearchRequest(model_run_id="svm", initial_param_grid={"C": [1.0, 2.0]})
    shown = await starting.progressive_search(request, identity)
    assert shown.orchestration_id == ""
    assert shown.state is LifecycleState.PENDING
    assert [stage.counts.total for stage in shown.stages] == [2, 50, 30]
    assert (store.created, store.found) == ([], 0)


async def test_a_request_without_an_id_is_created_under_one_of_its_own(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(TuningRequest(model_run_id="svm"), PLAIN)
    await starting.tuning(TuningRequest(model_run_id="svm"), PLAIN)
    assert len({key.request_id for key in store.keys if key is not None}) == 2


# --- Bad input ---


async def test_everything_wrong_is_listed_at_once(
    starting: Starting, store: MemoryRequestStore
) -> None:
    found = await refused(
        starting.progressive_search(
            ProgressiveSearchRequest(
                model_run_id="forest",
                initial_param_grid={
                    "max_depth": [],
                    "max_dept": [3.0],
                    "n_estimators": ["many", 10.5, math.nan, math.inf, [5.0]],
                    "criterion": ["gini", "gini"],
                },
                refinement_factor=math.nan,
                cv_folds=1,
                scoring_metric="r2",
                n_iter_random=0,
                n_iter_bayesian=-3,
                random_state=-1,
                max_concurrent_trials=-1,
                study_name="x" * 201,
            ),
            replace(PLAIN, request_id="not-a-uuid"),
        )
    )
    assert set(found) == {
        'initial_param_grid["max_depth"]',
        'initial_param_grid["max_dept"]',
        *(f'initial_param_grid["n_estimators"][{place}]' for place in range(5)),
        'initial_param_grid["criterion"][1]',
        "refinement_factor",
        "cv_folds",
        "scoring_metric",
        "n_iter_random",
        "n_iter_bayesian",
        "random_state",
        "max_concurrent_trials",
        "study_name",
        "request_id",
    }
    assert "max_depth" in found['initial_param_grid["max_dept"]']
    assert store.created == []


@pytest.mark.parametrize("factor", [0.0, -0.1, 1.0001, math.nan, math.inf])
async def test_a_refinement_factor_outside_its_range_is_refused(
    starting: Starting, factor: float
) -> None:
    request = ProgressiveSearchRequest(model_run_id="svm", refinement_factor=factor)
    assert set(await refused(starting.progressive_search(request, PLAIN))) == {"refinement_factor"}


async def test_a_grid_of_a_trillion_points_is_refused_by_its_size(starting: Starting) -> None:
    values = [float(n) for n in range(1, 10_001)]
    grid = {"max_depth": values, "n_estimators": values, "min_samples_leaf": values}
    request = TuningRequest(model_run_id="forest", param_grid=grid)
    found = await refused(starting.tuning(request, PLAIN))
    assert "1,000,000,000,000 points" in found["param_grid"]
    assert "1,000,000" in found["param_grid"]


async def test_a_space_too_large_to_count_is_searched_all_the_same(
    starting: Starting, store: MemoryRequestStore
) -> None:
    names = ["max_depth", "n_estimators", "min_samples_leaf", "max_leaf_nodes", "max_features"]
    grid = {name: [2.0, 2_000_000_000.0] for name in names}
    request = TuningRequest(model_run_id="forest", tuning_method="bayesian", param_grid=grid)
    await starting.tuning(request, PLAIN)
    assert store.created[0].stages[0].tuning_runs[0].total_combinations is None


async def test_known_names_are_listed_for_unknown_ones(starting: Starting) -> None:
    request = TuningRequest(model_run_id="svm", tuning_method="annealing", scoring_metric="acuracy")
    found = await refused(starting.tuning(request, PLAIN))
    assert "grid_search" in found["tuning_method"]
    assert "accuracy" in found["scoring_metric"]


async def test_a_binary_metric_on_three_classes_names_the_one_to_use(starting: Starting) -> None:
    request = TuningRequest(model_run_id="svm", scoring_metric="f1")
    assert "f1_weighted" in (await refused(starting.tuning(request, PLAIN)))["scoring_metric"]


@pytest.mark.parametrize("folds", [-1, 0, 1, 51, 2**31 - 1])
async def test_folds_that_no_class_can_fill_are_refused(starting: Starting, folds: int) -> None:
    request = TuningRequest(model_run_id="svm", cv_folds=folds)
    assert set(await refused(starting.tuning(request, PLAIN))) == {"cv_folds"}


@pytest.mark.parametrize("seed", [-1, 2**32])
async def test_a_seed_numpy_would_refuse_is_refused(starting: Starting, seed: int) -> None:
    request = CrossValidationRequest(model_run_id="svm", random_state=seed)
    assert set(await refused(starting.cross_validation(request, PLAIN))) == {"random_state"}


@pytest.mark.parametrize("n_iter", [0, -5, 100_001])
async def test_budgets_outside_their_limits_are_refused(starting: Starting, n_iter: int) -> None:
    request = TuningRequest(model_run_id="svm", tuning_method="random_search", n_iter=n_iter)
    assert set(await refused(starting.tuning(request, PLAIN))) == {"n_iter"}


@pytest.mark.parametrize(
    "request_id", ["1", "{" + UUID + "}", UUID.replace("-", ""), "urn:uuid:" + UUID]
)
async def test_other_spellings_of_a_uuid_are_refused(starting: Starting, request_id: str) -> None:
    identity = replace(PLAIN, request_id=request_id)
    found = await refused(starting.tuning(TuningRequest(model_run_id="svm"), identity))
    assert set(found) == {"request_id"}


async def test_a_comparison_lists_everything_wrong_with_its_models(starting: Starting) -> None:
    found = await refused(
        starting.comparison(
            ComparisonRequest(
                model_run_ids=("forest", "svm", "forest", "ridge", "rare-svm", ""),
                param_grids={"svm": {"C": 3.0}, "forest": {}, "stranger": {"C": [1.0]}},
            ),
            PLAIN,
        )
    )
    assert set(found) == {
        "model_run_ids[2]",
        "model_run_ids[3]",
        "model_run_ids[4]",
        "model_run_ids[5]",
        'param_grids["stranger"]',
        'param_grids["svm"]["C"]',
        'param_grids["forest"]',
    }
    assert "regression" in found["model_run_ids[3]"]
    assert "folds" in found["model_run_ids[4]"]


async def test_very_many_models_are_refused_by_their_number(starting: Starting) -> None:
    ids = tuple(str(number) for number in range(100_000))
    found = await refused(starting.comparison(ComparisonRequest(model_run_ids=ids), PLAIN))
    assert set(found) == {"model_run_ids"}
    assert "100000" in found["model_run_ids"]


async def test_a_comparison_of_nothing_is_refused(starting: Starting) -> None:
    found = await refused(starting.comparison(ComparisonRequest(model_run_ids=()), PLAIN))
    assert set(found) == {"model_run_ids"}


async def test_metrics_that_repeat_are_refused(starting: Starting) -> None:
    request = TuningRequest(
        model_run_id="svm", additional_metrics=("accuracy", "f1_macro", "f1_macro")
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {"additional_metrics[0]", "additional_metrics[2]"}


async def test_an_unknown_model_run_is_not_found(starting: Starting) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await starting.tuning(TuningRequest(model_run_id="nowhere"), PLAIN)


async def test_a_request_without_a_model_run_says_so(starting: Starting) -> None:
    found = await refused(starting.tuning(TuningRequest(model_run_id=""), PLAIN))
    assert set(found) == {"model_run_id"}
