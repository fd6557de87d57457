"""Preset spaces in place of default grids, where a request says nothing of a model run's space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.coordinator.ports import ModelRun
from services.coordinator.service.checking import known_presets
from services.coordinator.service.requests import PlanRequest, SearchRequest
from services.coordinator.service.scales import scale_notices
from services.coordinator.service.spaces import (
    AskedSpace,
    grid_notices,
    read_space,
    refuse_scales,
)
from services.core import early_stopping
from services.core.plan import ADAPTIVE_METHODS, GRID_SEARCH
from services.core.preset_size import EFFORTS, PresetSize
from services.core.space import Fixed, SearchSpace
from services.core.space_presets import preset_spreads
from services.core.spread import grid_of, space_of
from services.core.violations import Violations


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedSpace:
    """What is searched of a model run.

    Attributes:
        grid: what a grid search tries in its place; None for values of its ranges.
    """

    space: SearchSpace
    grid: SearchSpace | None = None

    def notices(self, method: str, resolution: int, *, goes_on: bool = False) -> list[str]:
        """Tells which values a grid search tries of ranges, and which lists are searched on a log scale.

        Args:
            method: of the first stage.
            resolution: values of a range without a step, checked before.
            goes_on: whether stages follow that search between the values.
        """
        told = []
        if method == GRID_SEARCH and self.grid is None:
            told += grid_notices(self.space, resolution)
        if goes_on or method in ADAPTIVE_METHODS:
            told += scale_notices(self.space)
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetSpace:
    """Which preset is searched where a request says nothing of a model run's space.

    Attributes:
        grid_points: at most so many points make a grid of its ranges.
    """

    size: PresetSize
    grid_points: int


def preset_of_tuning(
    found: Violations, request: SearchRequest, asked: Sequence[AskedSpace]
) -> PresetSpace | None:
    """Reads which preset is asked for; None for none, or for one that is refused already.

    Args:
        asked: what the request says of each model run.
    """
    points = {size: effort.trials for size, effort in EFFORTS.items()}
    return _preset(found, request, asked, points)


def preset_of_stages(
    found: Violations, request: SearchRequest, asked: AskedSpace
) -> PresetSpace | None:
    """As `preset_of_tuning`, where the grid search is one of three stages."""
    points = {size: effort.stage_trials[0] for size, effort in EFFORTS.items()}
    return _preset(found, request, [asked], points)


def preset_of_plan(
    found: Violations, request: PlanRequest, asked: Sequence[AskedSpace]
) -> PresetSpace | None:
    """As `preset_of_tuning`, where each grid search is a stage that shares the trials with the others."""
    trials = [each.n_iter for each in request.stages]
    points = {size: effort.share(trials) for size, effort in EFFORTS.items()}
    return _preset(found, request, asked, points)


def searched_space(
    model_run: ModelRun,
    asked: AskedSpace,
    *,
    method: str,
    resolution: int,
    preset: PresetSpace | None,
) -> SearchedSpace:
    """Takes the preset where the request says nothing, and what the request says where it does.

    Args:
        method: of the first stage.
        resolution: values a grid takes of a range that the request brings, without a step.
        preset: None for the model type's default grid.

    Raises: InvalidRequest.
    """
    if preset is not None and asked.is_empty:
        refuse_scales(asked)
        return _of_preset(model_run, preset, asked.grid_field)
    space = read_space(model_run, asked, method=method, resolution=resolution)
    return SearchedSpace(space=space)


def _preset(
    found: Violations,
    request: SearchRequest,
    asked: Sequence[AskedSpace],
    points: dict[PresetSize, int],
) -> PresetSpace | None:
    if request.space_type not in known_presets():
        return None
    if not any(each.is_empty for each in asked):
        found.add(
            "space_type",
            "goes with no space of the request's own; leave it, or the grids, distributions and"
            " search spaces out",
        )
    known = request.config_type in known_presets()
    effort = PresetSize(request.config_type) if known else PresetSize.DEFAULT
    return PresetSpace(size=PresetSize(request.space_type), grid_points=points[effort])


def _of_preset(model_run: ModelRun, preset: PresetSpace, field: str) -> SearchedSpace:
    fixed = set(model_run.fixed_parameters)
    if early_stopping.early_stopping_problem(
        {**model_run.fixed_parameters, early_stopping.ROUNDS: 1}
    ):
        fixed.add(early_stopping.ROUNDS)
    spreads = preset_spreads(model_run.model_type, preset.size, fixed=fixed)
    if all(isinstance(each.domain, Fixed) for each in spreads.values()):
        names = preset_spreads(model_run.model_type, preset.size)
        found = Violations()
        found.add(
            field,
            f"is missing, and the model run fixes every parameter of the {preset.size.value} space of "
            f"{model_run.model_type} ({', '.join(names)}); give a grid",
        )
        found.raise_if_any()
    return SearchedSpace(space=space_of(spreads), grid=grid_of(spreads, preset.grid_points))
