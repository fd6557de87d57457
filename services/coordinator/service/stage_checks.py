"""Checks of a plan's stages: what each asks for, and whether the models have it."""

from __future__ import annotations

from collections.abc import Sequence

from services.coordinator.service.checking import (
    check_explore,
    check_refinement_factor,
    check_stopping,
    check_trials,
    known_presets,
)
from services.coordinator.service.requests import DEFAULT_REFINEMENT_FACTOR, PlanStageRequest
from services.core.binding_checks import check_group_grids, torn_apart
from services.core.counting import cardinality
from services.core.limits import MAX_GRID_POINTS
from services.core.naming import unknown_name
from services.core.plan import DEFAULT_EXPLORE, GRID_SEARCH, LOCAL, TUNING_METHODS
from services.core.preset_size import EFFORTS, PresetSize
from services.core.presets import StageAsk, TuningSubject, grid_of_stage
from services.core.refinement_rules import FIXED, NEAR, NO_REFINEMENT, REFINEMENTS
from services.core.violations import Violations

MAX_STAGES = 20

_DEFAULT_TRIALS = 20
_USUAL_RADIUS = 0.2


def check_stages(
    found: Violations, stages: Sequence[PlanStageRequest], config_type: str = ""
) -> list[StageAsk]:
    """Checks what stages ask for, whatever the models, and fills in what they leave out.

    Args:
        config_type: a preset by name, checked elsewhere: whose trials are shared by stages that do not
            say how many; empty for the usual number each.

    Returns: the stages, whose `pruning` is yet to be checked against the metric.
    """
    if not stages:
        found.add("stages", 'is empty; give at least one, such as {"method": "random_search"}')
    if len(stages) > MAX_STAGES:
        found.add("stages", f"has {len(stages)} members, above the limit of {MAX_STAGES}")
        return []
    trials = _DEFAULT_TRIALS
    if config_type in known_presets():
        trials = EFFORTS[PresetSize(config_type)].share([each.n_iter for each in stages])
    return [_check_stage(found, index, each, trials) for index, each in enumerate(stages)]


def _check_stage(
    found: Violations, index: int, stage: PlanStageRequest, usual_trials: int
) -> StageAsk:
    field = f"stages[{index}]"
    if stage.method not in TUNING_METHODS:
        found.add(f"{field}.method", unknown_name("method", stage.method, TUNING_METHODS))
    is_grid = stage.method == GRID_SEARCH
    if is_grid and stage.n_iter is not None:
        found.add(f"{field}.n_iter", "grid_search tries every point of its grid; leave it out")
    elif stage.n_iter is not None:
        check_trials(found, f"{field}.n_iter", stage.n_iter)
    refinement, factor = (
        _check_local(found, field, index, stage)
        if stage.method == LOCAL
        else _check_refined(found, field, index, stage)
    )
    return StageAsk(
        method=stage.method,
        trials=None if is_grid else stage.n_iter or usual_trials,
        parameters=stage.parameters,
        refinement_factor=factor,
        refinement=refinement,
        explore=DEFAULT_EXPLORE if stage.explore is None else stage.explore,
        stopping=check_stopping(found, f"{field}.stopping", stage.stopping),
    )


def _check_local(
    found: Violations, field: str, index: int, stage: PlanStageRequest
) -> tuple[str, float | None]:
    """A local stage goes by its radius, around the best; the first one's box is made with its start."""
    for name in ("refinement", "refinement_factor", "explore"):
        if getattr(stage, name) is not None:
            found.add(
                f"{field}.{name}",
                "does not go with local, which searches within its radius; leave it out",
            )
    radius = stage.radius
    if radius is not None and not 0.0 < radius <= 1.0:
        found.add(
            f"{field}.radius",
            f"{radius} is outside (0, 1]; {_USUAL_RADIUS} is usual, a share of each range",
        )
    if index == 0:
        return FIXED, None
    return NEAR, _USUAL_RADIUS if radius is None else radius


def _check_refined(
    found: Violations, field: str, index: int, stage: PlanStageRequest
) -> tuple[str, float | None]:
    """Returns: the rule, and its factor; None for a stage that searches what was asked for."""
    if stage.radius is not None:
        found.add(f"{field}.radius", "goes with local only; leave it out")
    is_grid = stage.method == GRID_SEARCH
    refinement = stage.refinement
    if refinement is None:
        refinement = NO_REFINEMENT if index == 0 or is_grid else FIXED
    elif refinement not in (NO_REFINEMENT, *REFINEMENTS):
        found.add(
            f"{field}.refinement",
            unknown_name("refinement", refinement, (NO_REFINEMENT, *REFINEMENTS)),
        )
    elif refinement != NO_REFINEMENT and (index == 0 or is_grid):
        why = (
            "grid_search tries its values as they are given"
            if is_grid
            else "nothing comes before the first stage that it could be refined from"
        )
        found.add(f"{field}.refinement", f'is "{refinement}", but {why}; leave it out')
    if refinement == NO_REFINEMENT:
        for name in ("refinement_factor", "explore"):
            if getattr(stage, name) is not None:
                found.add(
                    f"{field}.{name}",
                    "says how a space is refined, but this one is not; leave it out",
                )
        return FIXED, None
    factor = stage.refinement_factor
    if factor is None:
        factor = DEFAULT_REFINEMENT_FACTOR
    check_refinement_factor(found, factor, f"{field}.refinement_factor")
    if stage.explore is not None:
        check_explore(found, f"{field}.explore", stage.explore)
    return refinement, factor


def check_searched(
    found: Violations, stages: Sequence[StageAsk], subjects: Sequence[TuningSubject]
) -> None:
    """Checks that every model has the parameters stages name, and that grids are not too large."""
    for index, stage in enumerate(stages):
        for place, name in enumerate(stage.parameters):
            field = f"stages[{index}].parameters[{place}]"
            if name in stage.parameters[:place]:
                found.add(field, f'"{name}" is named twice; leave one out')
                continue
            for subject in subjects:
                if name not in subject.space.names:
                    problem = unknown_name("parameter", name, subject.space.names)
                    found.add(field, f"of {subject.model_type}'s space, {problem}")
        whole = []
        for subject in subjects:
            if stage.parameters and subject.space.alternatives:
                found.add(
                    f"stages[{index}].parameters",
                    f"names some, but {subject.model_type} is searched by a list of"
                    f" {len(subject.space.alternatives)} alternatives, which a stage searches whole;"
                    " leave it out",
                )
                continue
            torn = torn_apart(subject.space, stage.parameters)
            for inside, outside in torn:
                found.add(
                    f"stages[{index}].parameters",
                    f"names {inside} and not {outside}, which a condition or constraint binds"
                    " together; name both, or neither",
                )
            if not torn:
                whole.append(subject)
        if stage.method == GRID_SEARCH:
            _check_grids(found, index, stage, whole)
        if stage.method == LOCAL and index > 0:
            _check_found_before(found, index, stages, whole)


def _check_found_before(
    found: Violations, index: int, stages: Sequence[StageAsk], subjects: Sequence[TuningSubject]
) -> None:
    """Checks that a later local stage has a best value of each parameter to move around."""
    for subject in subjects:
        names = subject.space.names
        before = {name for each in stages[:index] for name in each.parameters or names}
        asked = stages[index].parameters or names
        missing = [name for name in asked if name in names and name not in before]
        if missing:
            found.add(
                f"stages[{index}].parameters",
                f"no stage before searches {', '.join(missing)} of {subject.model_type}, so local has no"
                " best value to start from; search them before it, or leave them out",
            )


def _check_grids(
    found: Violations, index: int, stage: StageAsk, subjects: Sequence[TuningSubject]
) -> None:
    for subject in subjects:
        before = len(found.found)
        check_group_grids(found, "grid_resolution", subject.space, subject.grid_resolution)
        if len(found.found) > before:
            continue
        points = cardinality(grid_of_stage(subject, stage))
        if points is None or points > MAX_GRID_POINTS:
            size = "infinitely many" if points is None else f"{points:,}"
            found.add(
                f"stages[{index}].method",
                f"grid_search of {subject.model_type} would try {size} points, above the limit of"
                f" {MAX_GRID_POINTS:,}; search fewer values or parameters, or use random_search",
            )
