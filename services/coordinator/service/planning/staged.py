"""Plans of a client's own stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.coordinator.ports import ModelRun
from services.coordinator.service.planning.model_runs import asked_of
from services.coordinator.service.planning.shared import SharedParts
from services.coordinator.service.preset_spaces import preset_of_plan, searched_space
from services.coordinator.service.pruning_checks import check_pruning, check_steps
from services.coordinator.service.requests import PlanRequest, StartRequest
from services.coordinator.service.scales import scale_notices
from services.coordinator.service.selection_checks import check_simpler
from services.coordinator.service.spaces import grid_notices
from services.coordinator.service.stage_checks import check_searched
from services.coordinator.service.start_points import check_start, plan_start
from services.core import presets
from services.core.binding_checks import torn_apart
from services.core.errors import InvalidRequest
from services.core.plan import ADAPTIVE_METHODS, GRID_SEARCH, LOCAL, PLAN, RANDOM_SEARCH, Plan
from services.core.presets import StageAsk, TuningSubject, space_of_stage
from services.core.pruning_settings import Pruning
from services.core.violations import Violations


def plan_stages(
    found: Violations,
    request: PlanRequest,
    stages: Sequence[StageAsk],
    shared: SharedParts,
) -> Plan:
    """Reads the spaces and plans the stages over them.

    Args:
        found: what is wrong with the rest of the request.
        stages: checked as far as neither spaces nor the metric are needed for; empty when there are too
            many.

    Raises: InvalidRequest, with every violation.
    """
    stages = [
        replace(each, pruning=_stage_pruning(found, request, index, shared))
        for index, each in enumerate(stages)
    ]
    asked = [asked_of(request, each.model_run_id) for each in shared.model_runs]
    preset = preset_of_plan(found, request, asked)
    subjects = []
    for model_run, asked_of_one in zip(shared.model_runs, asked, strict=True):
        with found.gathered():
            # Stages may search parts of a grid: how large those may be is checked with them.
            try:
                searched = searched_space(
                    model_run,
                    asked_of_one,
                    method=RANDOM_SEARCH,
                    resolution=request.grid_resolution,
                    preset=preset,
                )
            except InvalidRequest:
                if stages:
                    _check_start(found, request, stages[0], model_run)
                raise
            subject = shared.subject(model_run, searched)
            if stages:
                subject = _with_start(
                    found, request, stages[0], model_run, subject, field=asked_of_one.field
                )
            subjects.append(subject)
    check_searched(found, stages, subjects)
    check_simpler(found, shared.selection, [(each.model_type, each.space) for each in subjects])
    shared.refuse_if_wrong(found)
    return presets.staged_plan(
        PLAN,
        subjects=subjects,
        stages=stages,
        parallel=request.parallel,
        terms=shared.terms(_space_notices(subjects, stages)),
    )


def _stage_pruning(
    found: Violations, request: PlanRequest, index: int, shared: SharedParts
) -> Pruning | None:
    inside = Violations()
    scoring = shared.scoring
    pruning = check_pruning(
        inside,
        request.stages[index].pruning,
        metric=scoring.metrics[0],
        splits=scoring.splits.count,
    )
    check_steps(
        inside,
        pruning,
        dataset=scoring.dataset,
        model_runs=shared.model_runs,
        splits=scoring.splits,
    )
    for each in inside.found:
        found.add(f"stages[{index}].{each.field}", each.description)
    return pruning


def _with_start(
    found: Violations,
    request: PlanRequest,
    first: StageAsk,
    model_run: ModelRun,
    subject: TuningSubject,
    *,
    field: str,
) -> TuningSubject:
    """Says what the first stage tries first of a model; what it searches must make sense for that."""
    names = first.parameters
    if not set(names) <= set(subject.space.names) or torn_apart(subject.space, names):
        return subject
    inside = Violations()
    searched, start = plan_start(
        inside,
        _start_of(request, first, model_run),
        method=first.method,
        model_run=model_run,
        space=space_of_stage(subject, first),
        field=field,
    )
    _take_over(found, inside, model_run)
    return replace(subject, start=start, box=searched if first.method == LOCAL else None)


def _check_start(
    found: Violations, request: PlanRequest, first: StageAsk, model_run: ModelRun
) -> None:
    """Checks what the first stage tries first of a model whose space is refused."""
    inside = Violations()
    start = _start_of(request, first, model_run)
    check_start(inside, start, method=first.method, model_run=model_run)
    _take_over(found, inside, model_run)


def _start_of(request: PlanRequest, first: StageAsk, model_run: ModelRun) -> StartRequest:
    radius = request.stages[0].radius
    return StartRequest(
        points_to_try=request.points_to_try.get(model_run.model_run_id, ()),
        try_current_parameters=request.try_current_parameters,
        # Where it does not go, or is out of its range, that was said of the stage already.
        radius=radius if first.method == LOCAL and radius and 0 < radius <= 1 else None,
    )


def _take_over(found: Violations, inside: Violations, model_run: ModelRun) -> None:
    """Adds what is wrong with the start of one model, by its path in a plan."""
    for each in inside.found:
        path = each.field
        if path.startswith("points_to_try"):
            rest = path.removeprefix("points_to_try")
            path = f'points_to_try["{model_run.model_run_id}"].points{rest}'
        violation = replace(each, field=path)
        if violation not in found.found:
            found.add(violation.field, violation.description)


def _space_notices(subjects: Sequence[TuningSubject], stages: Sequence[StageAsk]) -> list[str]:
    """Tells once which values of ranges grid stages try, and on which scales others search lists."""
    told: dict[str, None] = {}
    for stage in stages:
        for subject in subjects:
            if stage.method == GRID_SEARCH and subject.grid is None:
                space = space_of_stage(subject, stage)
                told.update(dict.fromkeys(grid_notices(space, subject.grid_resolution)))
            if stage.method in ADAPTIVE_METHODS or stage.refinement_factor is not None:
                told.update(dict.fromkeys(scale_notices(space_of_stage(subject, stage))))
    return list(told)
