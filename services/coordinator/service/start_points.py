"""What a tuning run tries first: the model's current parameters, and the points a client names."""

from __future__ import annotations

import math

from services.coordinator.ports import ModelRun
from services.coordinator.service.requests import StartRequest
from services.core.current_parameters import active_part, current_parameters, outside
from services.core.digest import assignment_digest
from services.core.hull import hull_space
from services.core.model_catalog import MODEL_TYPES
from services.core.model_run import check_parameters, searchable_parameters
from services.core.neighbourhood_box import box_around
from services.core.plan import ADAPTIVE_METHODS, GRID_SEARCH, LOCAL
from services.core.space import Assignment, SearchSpace
from services.core.start_points import StartPoints
from services.core.step_choices import choice_schema, choosable, offered_in
from services.core.violations import Violations

_MOST_POINTS = 1_000
_USUAL_RADIUS = 0.2


def plan_start(
    found: Violations,
    request: StartRequest,
    *,
    method: str,
    model_run: ModelRun,
    space: SearchSpace,
    field: str,
) -> tuple[SearchSpace, StartPoints]:
    """Checks what is to be tried first against the space.

    Args:
        field: path of the space in the request, for the violations.

    Returns: the space to search, which a local search narrows to what is near the current parameters;
        and the points.
    """
    if method == GRID_SEARCH:
        _refuse_for_grid(found, request)
        return space, StartPoints()
    searched = hull_space(space) if method in ADAPTIVE_METHODS else space
    known = current_parameters(
        model_run.model_type, model_run.fixed_parameters, model_run.steps, space.names
    )
    current = active_part(searched, known)
    why_not = outside(searched, current)
    _check_radius(found, request, method)
    if why_not and (method == LOCAL or request.try_current_parameters):
        found.add(
            field,
            f"does not hold the model's current parameters: {'; '.join(why_not)}; widen it there, set "
            "those parameters in the model run, or "
            + ("use another method" if method == LOCAL else "leave try_current_parameters out"),
        )
    _check_wanted(found, request, method)
    box = searched
    if method == LOCAL and not why_not:
        radius = _USUAL_RADIUS if request.radius is None else request.radius
        if 0 < radius <= 1:
            box = box_around(searched, current, radius)
    wanted = request.try_current_parameters is not False
    start = StartPoints(
        baseline=current if wanted and not why_not else None,
        points_to_try=_points(found, request, model_run, box, known),
    )
    return (box if method == LOCAL else space), _without_repeats(start)


def check_start(
    found: Violations, request: StartRequest, *, method: str, model_run: ModelRun
) -> None:
    """Checks of what is to be tried first what can be known while the space is refused itself."""
    if method == GRID_SEARCH:
        _refuse_for_grid(found, request)
        return
    _check_radius(found, request, method)
    _check_wanted(found, request, method)
    if _too_many(found, request):
        return
    model_type = MODEL_TYPES[model_run.model_type]
    # Which types steps are offered is not known: parameters of any that may be are let pass.
    offered = {
        name: tuple(choice_schema(step).strings)
        for name, step in choosable(model_type, model_run.steps).items()
    }
    schemas = searchable_parameters(model_type, model_run.steps, offered)
    for place, given in enumerate(request.points_to_try):
        with found.gathered():
            check_parameters(given, schemas, field=f"points_to_try[{place}]")


def _check_wanted(found: Violations, request: StartRequest, method: str) -> None:
    if method == LOCAL and request.try_current_parameters is False:
        found.add("try_current_parameters", "is false, but local starts from them; leave it out")


def _too_many(found: Violations, request: StartRequest) -> bool:
    if len(request.points_to_try) <= _MOST_POINTS:
        return False
    found.add(
        "points_to_try",
        f"has {len(request.points_to_try):,} members, above the limit of {_MOST_POINTS:,}",
    )
    return True


def _refuse_for_grid(found: Violations, request: StartRequest) -> None:
    text = "goes with other methods: the candidates of grid_search are scikit-learn's; leave it out"
    if request.points_to_try:
        found.add("points_to_try", text)
    if request.try_current_parameters:
        found.add("try_current_parameters", text)
    if request.radius is not None:
        found.add("radius", "goes with local only; leave it out")


def _check_radius(found: Violations, request: StartRequest, method: str) -> None:
    radius = request.radius
    if radius is None:
        return
    if method != LOCAL:
        found.add("radius", "goes with local only; leave it out")
    elif not (math.isfinite(radius) and 0 < radius <= 1):
        found.add(
            "radius",
            f"{radius} is outside (0, 1]; {_USUAL_RADIUS} is usual, a share of each range",
        )


def _points(
    found: Violations,
    request: StartRequest,
    model_run: ModelRun,
    space: SearchSpace,
    known: Assignment,
) -> tuple[Assignment, ...]:
    if _too_many(found, request):
        return ()
    schemas = searchable_parameters(
        MODEL_TYPES[model_run.model_type], model_run.steps, offered_in(space)
    )
    points: list[Assignment] = []
    for place, given in enumerate(request.points_to_try):
        path = f"points_to_try[{place}]"
        with found.gathered():
            typed = check_parameters(given, schemas, field=path)
            point = active_part(space, {**known, **typed})
            strangers = sorted(set(typed) - set(point) | set(point) - set(space.names))
            for name in strangers:
                lacks = (
                    "active at this point" if name in space.names else "a parameter of the space"
                )
                found.add(f'{path}["{name}"]', f"is not {lacks}; leave it out")
            if why_not := outside(space, point):
                found.add(path, f"is no point of the space: {'; '.join(why_not)}")
            elif not strangers:
                points.append({name: point[name] for name in space.names if name in point})
    return tuple(points)


def _without_repeats(start: StartPoints) -> StartPoints:
    seen = set() if start.baseline is None else {assignment_digest(start.baseline)}
    points = []
    for each in start.points_to_try:
        digest = assignment_digest(each)
        if digest not in seen:
            points.append(each)
        seen.add(digest)
    return StartPoints(baseline=start.baseline, points_to_try=tuple(points))
