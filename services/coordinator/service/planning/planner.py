"""Makes a plan of each kind of request."""

from __future__ import annotations

from dataclasses import replace

from services.coordinator.ports import RequestStore
from services.coordinator.service.checking import (
    check_explore,
    check_method,
    check_refinement,
    check_refinement_factor,
    check_trials,
    require_id,
)
from services.coordinator.service.planning.cross_validation import (
    check_cross_validation,
    plan_cross_validation,
)
from services.coordinator.service.planning.model_runs import asked_of, check_ids, paths_of
from services.coordinator.service.planning.scoring import check_metric_count, named_metrics
from services.coordinator.service.planning.shared import Sharing, check_request
from services.coordinator.service.planning.staged import plan_stages
from services.coordinator.service.preset_spaces import (
    preset_of_stages,
    preset_of_tuning,
    searched_space,
)
from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    PlanRequest,
    ProgressiveSearchRequest,
    RequestIdentity,
    StartRequest,
    TuningRequest,
)
from services.coordinator.service.selection_checks import check_simpler
from services.coordinator.service.spaces import AskedSpace
from services.coordinator.service.stage_checks import check_stages
from services.coordinator.service.start_points import check_start, plan_start
from services.core import presets
from services.core.errors import InvalidRequest
from services.core.plan import GRID_SEARCH, Plan


class Planning:
    """Makes plans.

    Args:
        trial_timeout_seconds: ends every trial that runs longer; None for no limit.
        price_per_hour: of one slot, for requests that bring none; None for no price.
    """

    def __init__(
        self,
        *,
        store: RequestStore,
        trial_timeout_seconds: float | None,
        price_per_hour: float | None,
    ) -> None:
        self._store = store
        self._sharing = Sharing(
            store=store,
            trial_timeout_seconds=trial_timeout_seconds,
            price_per_hour=price_per_hour,
        )

    async def progressive_search(
        self, request: ProgressiveSearchRequest, identity: RequestIdentity
    ) -> Plan:
        """Raises: InvalidRequest, with every violation; NotFound."""
        found = check_request(request, identity)
        check_refinement_factor(found, request.refinement_factor)
        check_refinement(found, "refinement", request.refinement)
        check_explore(found, "explore", request.explore)
        check_trials(found, "n_iter_random", request.n_iter_random)
        check_trials(found, "n_iter_bayesian", request.n_iter_bayesian)
        require_id(found, request.model_run_id)
        shared = await self._sharing.parts(found, request, {request.model_run_id: "model_run_id"})
        (model_run,) = shared.model_runs
        asked = AskedSpace(
            grid=request.initial_param_grid or None,
            grid_list=request.initial_param_grid_list,
            scales=request.scales,
            distributions=request.distributions,
            search_space=request.search_space,
            grid_field="initial_param_grid",
            grid_list_field="initial_param_grid_list",
        )
        preset = preset_of_stages(found, request, asked)
        with found.gathered():
            searched = searched_space(
                model_run,
                asked,
                method=GRID_SEARCH,
                resolution=request.grid_resolution,
                preset=preset,
            )
            check_simpler(found, shared.selection, [(model_run.model_type, searched.space)])
        shared.refuse_if_wrong(found)
        return presets.progressive_search(
            subject=shared.subject(model_run, searched),
            refinement_factor=request.refinement_factor,
            refinement=request.refinement,
            explore=request.explore,
            n_iter_random=request.n_iter_random,
            n_iter_bayesian=request.n_iter_bayesian,
            terms=shared.terms(
                searched.notices(GRID_SEARCH, request.grid_resolution, goes_on=True)
            ),
        )

    async def tuning(self, request: TuningRequest, identity: RequestIdentity) -> Plan:
        """Raises: InvalidRequest, with every violation; NotFound."""
        found = check_request(request, identity)
        check_method(found, request.tuning_method)
        check_trials(found, "n_iter", request.n_iter)
        check_metric_count(found, "additional_metrics", request.additional_metrics)
        require_id(found, request.model_run_id)
        shared = await self._sharing.parts(
            found,
            request,
            {request.model_run_id: "model_run_id"},
            additional_metrics=named_metrics("additional_metrics", request.additional_metrics),
        )
        objective, *more = shared.scoring.metrics
        for place, name in enumerate(more):
            if name == objective or name in more[:place]:
                found.add(
                    f"additional_metrics[{place}]", f'"{name}" is recorded already; leave it out'
                )
        (model_run,) = shared.model_runs
        asked = AskedSpace(
            grid=request.param_grid or None,
            grid_list=request.param_grid_list,
            scales=request.scales,
            distributions=request.distributions,
            search_space=request.search_space,
        )
        preset = preset_of_tuning(found, request, [asked])
        with found.gathered():
            try:
                searched = searched_space(
                    model_run,
                    asked,
                    method=request.tuning_method,
                    resolution=request.grid_resolution,
                    preset=preset,
                )
            except InvalidRequest:
                check_start(found, request.start, method=request.tuning_method, model_run=model_run)
                raise
            space, start = plan_start(
                found,
                request.start,
                method=request.tuning_method,
                model_run=model_run,
                space=searched.space,
                field=asked.field,
            )
            searched = replace(searched, space=space)
            check_simpler(found, shared.selection, [(model_run.model_type, space)])
        shared.refuse_if_wrong(found)
        return presets.single_tuning(
            subject=shared.subject(model_run, searched, start),
            method=request.tuning_method,
            n_iter=request.n_iter,
            terms=shared.terms(searched.notices(request.tuning_method, request.grid_resolution)),
        )

    async def comparison(self, request: ComparisonRequest, identity: RequestIdentity) -> Plan:
        """Raises: InvalidRequest, with every violation; NotFound."""
        found = check_request(request, identity)
        check_method(found, request.tuning_method)
        check_trials(found, "n_iter", request.n_iter)
        check_ids(found, request)
        shared = await self._sharing.parts(found, request, paths_of(request.model_run_ids))
        asked = [asked_of(request, each.model_run_id) for each in shared.model_runs]
        preset = preset_of_tuning(found, request, asked)
        subjects = []
        told: list[str] = []
        for model_run, asked_of_one in zip(shared.model_runs, asked, strict=True):
            with found.gathered():
                searched = searched_space(
                    model_run,
                    asked_of_one,
                    method=request.tuning_method,
                    resolution=request.grid_resolution,
                    preset=preset,
                )
                if not found:
                    told += searched.notices(request.tuning_method, request.grid_resolution)
                space, start = plan_start(
                    found,
                    StartRequest(),
                    method=request.tuning_method,
                    model_run=model_run,
                    space=searched.space,
                    field=asked_of_one.field,
                )
                subjects.append(shared.subject(model_run, replace(searched, space=space), start))
        check_simpler(found, shared.selection, [(each.model_type, each.space) for each in subjects])
        shared.refuse_if_wrong(found)
        return presets.multi_model_comparison(
            subjects=subjects,
            method=request.tuning_method,
            n_iter=request.n_iter,
            parallel=request.parallel,
            terms=shared.terms(told),
        )

    async def plan(self, request: PlanRequest, identity: RequestIdentity) -> Plan:
        """Raises: InvalidRequest, with every violation; NotFound."""
        found = check_request(request, identity)
        stages = check_stages(found, request.stages, request.config_type)
        check_ids(found, request)
        shared = await self._sharing.parts(found, request, paths_of(request.model_run_ids))
        return plan_stages(found, request, stages, shared)

    async def cross_validation(
        self, request: CrossValidationRequest, identity: RequestIdentity
    ) -> Plan:
        """Raises: InvalidRequest, with every violation; NotFound."""
        found = check_cross_validation(request, identity)
        budget = self._sharing.budget(found, {})
        require_id(found, request.model_run_id)
        model_run = await self._sharing.model_run(found, request.model_run_id)
        dataset = await self._store.get_dataset(model_run.dataset_id)
        return plan_cross_validation(
            found, request, model_run=model_run, dataset=dataset, budget=budget
        )
