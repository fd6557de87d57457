"""The model runs of a comparison or a plan: which they are, and whether they can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.coordinator.ports import ModelRun
from services.coordinator.service.requests import ComparisonRequest, PlanRequest
from services.coordinator.service.spaces import AskedSpace
from services.core.limits import MAX_MODEL_RUNS
from services.core.model_catalog import MODEL_TYPES
from services.core.violations import Violations


def check_ids(found: Violations, request: ComparisonRequest | PlanRequest) -> None:
    """Checks the ids of model runs, and that every space belongs to one of them."""
    ids = request.model_run_ids
    if not ids:
        found.add("model_run_ids", "is empty; name the model runs to compare")
    if len(ids) > MAX_MODEL_RUNS:
        found.add("model_run_ids", f"has {len(ids)} members, above the limit of {MAX_MODEL_RUNS}")
        # Not looked at one by one: there may be a hundred thousand.
        return
    first: dict[str, int] = {}
    for place, each in enumerate(ids):
        if not each:
            found.add(f"model_run_ids[{place}]", "is empty; name a model run")
        elif first.setdefault(each, place) != place:
            found.add(
                f"model_run_ids[{place}]", f'"{each}" repeats the model run at [{first[each]}]'
            )
    asked: dict[str, Mapping[str, object]] = {
        "param_grids": request.param_grids,
        "param_grid_lists": request.param_grid_lists,
        "scales": request.scales,
        "distributions": request.distributions,
        "search_spaces": request.search_spaces,
    }
    if isinstance(request, PlanRequest):
        asked["points_to_try"] = request.points_to_try
    for field, by_run in asked.items():
        what = "points" if field == "points_to_try" else "space"
        for each in sorted(set(by_run) - set(ids)):
            found.add(
                f'{field}["{each}"]',
                f"is not among model_run_ids; add it there, or leave its {what} out",
            )


def paths_of(ids: Sequence[str]) -> dict[str, str]:
    """The path of each model run in a request that names several; of a repeated one the first."""
    paths: dict[str, str] = {}
    for place, each in enumerate(ids):
        paths.setdefault(each, f"model_run_ids[{place}]")
    return paths


def check_same_data(
    found: Violations, paths: Mapping[str, str], model_runs: Sequence[ModelRun]
) -> None:
    """Checks that all model runs have the first one's task and dataset.

    Args:
        paths: of each model run in the request, by id.
    """
    first = model_runs[0]
    place = paths[first.model_run_id]
    task = MODEL_TYPES[first.model_type].task
    for model_run in model_runs[1:]:
        field = paths[model_run.model_run_id]
        its_task = MODEL_TYPES[model_run.model_type].task
        if its_task is not task:
            found.add(
                field,
                f"{model_run.model_type} is for {its_task.value} and {first.model_type}, at "
                f"{place}, for {task.value}: their scores cannot be compared",
            )
        elif model_run.dataset_id != first.dataset_id:
            found.add(
                field,
                f"is on dataset {model_run.dataset_id} and {place} on {first.dataset_id}: a "
                "comparison needs the same folds for all",
            )


def asked_of(request: ComparisonRequest | PlanRequest, key: str) -> AskedSpace:
    """Gives what a comparison or a plan says of one model run's space."""
    return AskedSpace(
        grid=request.param_grids.get(key),
        grid_list=request.param_grid_lists.get(key, ()),
        scales=request.scales.get(key, {}),
        scales_field=f'scales["{key}"].parameters',
        distributions=request.distributions.get(key, {}),
        search_space=request.search_spaces.get(key),
        grid_field=f'param_grids["{key}"]',
        grid_list_field=f'param_grid_lists["{key}"].grids',
        distributions_field=f'distributions["{key}"].parameters',
        space_field=f'search_spaces["{key}"]',
    )
