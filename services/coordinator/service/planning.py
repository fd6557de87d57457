"""Makes plans of requests: fetches what they name, checks everything, fills in what was left out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from services.coordinator.ports import Dataset, ModelRun, RequestStore
from services.coordinator.service.checking import (
    check_data,
    check_identity,
    check_method,
    check_metric,
    check_refinement_factor,
    check_search,
    check_seed,
    check_trials,
    require_id,
)
from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    ProgressiveSearchRequest,
    RequestIdentity,
    SearchRequest,
    TuningRequest,
)
from services.core import presets
from services.core.grid import parse_param_grid
from services.core.limits import MAX_GRID_POINTS, MAX_MODEL_RUNS
from services.core.metrics import default_metric, default_metrics
from services.core.model_catalog import MODEL_TYPES
from services.core.model_run import check_parameters, searchable_parameters
from services.core.objective import EvaluationSpec
from services.core.parameter_schema import ParameterSchema
from services.core.plan import GRID_SEARCH, Plan
from services.core.presets import TuningSubject
from services.core.space import SearchSpace
from services.core.violations import Violations

# Methods that do not try every point take spaces of any size that can still be counted.
_MAX_METRICS = 50
_COUNTABLE_POINTS = 2**62


class Planning:
    """Makes plans.

    Args:
        trial_timeout_seconds: ends every trial that runs longer; None for no limit.
    """

    def __init__(self, *, store: RequestStore, trial_timeout_seconds: float | None) -> None:
        self._store = store
        self._trial_timeout_seconds = trial_timeout_seconds

    async def progressive_search(
        self, request: ProgressiveSearchRequest, identity: RequestIdentity
    ) -> Plan:
        """Raises: InvalidRequest, with every violation; NotFound."""
        found = Violations()
        check_identity(found, identity)
        check_search(found, request)
        check_refinement_factor(found, request.refinement_factor)
        check_trials(found, "n_iter_random", request.n_iter_random)
        check_trials(found, "n_iter_bayesian", request.n_iter_bayesian)
        model_run, dataset = await self._subject(found, request.model_run_id)
        notices = check_data(found, request.cv_folds, dataset)
        metric = request.scoring_metric or default_metric(dataset.task)
        check_metric(found, "scoring_metric", metric, dataset, [model_run])
        with found.gathered():
            space = _space(
                model_run,
                request.initial_param_grid or None,
                "initial_param_grid",
                method=GRID_SEARCH,
            )
        found.raise_if_any()
        return presets.progressive_search(
            subject=self._tuned(
                model_run, dataset, space=space, metrics=(metric,), request=request
            ),
            refinement_factor=request.refinement_factor,
            n_iter_random=request.n_iter_random,
            n_iter_bayesian=request.n_iter_bayesian,
            max_concurrent_trials=request.max_concurrent_trials,
            study_name=request.study_name,
            notices=notices,
        )

    async def tuning(self, request: TuningRequest, identity: RequestIdentity) -> Plan:
        """Raises: InvalidRequest, with every violation; NotFound."""
        found = Violations()
        check_identity(found, identity)
        check_search(found, request)
        check_method(found, request.tuning_method)
        check_trials(found, "n_iter", request.n_iter)
        model_run, dataset = await self._subject(found, request.model_run_id)
        notices = check_data(found, request.cv_folds, dataset)
        metric = request.scoring_metric or default_metric(dataset.task)
        check_metric(found, "scoring_metric", metric, dataset, [model_run])
        _check_metric_count(found, "additional_metrics", request.additional_metrics)
        for place, name in enumerate(request.additional_metrics):
            field = f"additional_metrics[{place}]"
            check_metric(found, field, name, dataset, [model_run])
            if name == metric or name in request.additional_metrics[:place]:
                found.add(field, f'"{name}" is recorded already; leave it out')
        with found.gathered():
            space = _space(
                model_run, request.param_grid or None, "param_grid", method=request.tuning_method
            )
        found.raise_if_any()
        return presets.single_tuning(
            subject=self._tuned(
                model_run,
                dataset,
                space=space,
                metrics=(metric, *request.additional_metrics),
                request=request,
            ),
            method=request.tuning_method,
            n_iter=request.n_iter,
            max_concurrent_trials=request.max_concurrent_trials,
            study_name=request.study_name,
            notices=notices,
        )

    async def comparison(self, request: ComparisonRequest, identity: RequestIdentity) -> Plan:
        """Raises: InvalidRequest, with every violation; NotFound."""
        found = Violations()
        check_identity(found, identity)
        check_search(found, request)
        check_method(found, request.tuning_method)
        check_trials(found, "n_iter", request.n_iter)
        _check_ids(found, request)
        model_runs = await self._model_runs(found, request.model_run_ids)
        dataset = await self._store.get_dataset(model_runs[0].dataset_id)
        notices = check_data(found, request.cv_folds, dataset)
        metric = request.scoring_metric or default_metric(dataset.task)
        check_metric(found, "scoring_metric", metric, dataset, model_runs)
        _check_same_data(found, request.model_run_ids, model_runs)
        subjects = []
        for model_run in model_runs:
            given = model_run.model_run_id in request.param_grids
            field = f'param_grids["{model_run.model_run_id}"]'
            grid = request.param_grids[model_run.model_run_id] if given else None
            with found.gathered():
                space = _space(model_run, grid, field, method=request.tuning_method)
                subjects.append(
                    self._tuned(model_run, dataset, space=space, metrics=(metric,), request=request)
                )
        found.raise_if_any()
        return presets.multi_model_comparison(
            subjects=subjects,
            method=request.tuning_method,
            n_iter=request.n_iter,
            parallel=request.parallel,
            max_concurrent_trials=request.max_concurrent_trials,
            study_name=request.study_name,
            notices=notices,
        )

    async def cross_validation(
        self, request: CrossValidationRequest, identity: RequestIdentity
    ) -> Plan:
        """Raises: InvalidRequest, with every violation; NotFound."""
        found = Violations()
        check_identity(found, identity)
        check_seed(found, request.random_state)
        model_run, dataset = await self._subject(found, request.model_run_id)
        notices = check_data(found, request.cv_folds, dataset)
        labels = [label for label, _ in dataset.class_counts]
        metrics = request.scoring_metrics or default_metrics(dataset.task, labels)
        _check_metric_count(found, "scoring_metrics", metrics)
        for place, name in enumerate(metrics):
            field = f"scoring_metrics[{place}]"
            check_metric(found, field, name, dataset, [model_run])
            if name in metrics[:place]:
                found.add(field, f'"{name}" repeats the metric at [{metrics.index(name)}]')
        with found.gathered():
            parameters = check_parameters(
                request.parameters, _schemas(model_run), field="parameters"
            )
        found.raise_if_any()
        return presets.cross_validation(
            model_run_id=model_run.model_run_id,
            model_type=model_run.model_type,
            parameters=parameters,
            evaluation=self._evaluation(
                model_run,
                dataset,
                metrics=metrics,
                cv_folds=request.cv_folds,
                random_state=request.random_state,
            ),
            notices=notices,
        )

    async def _subject(self, found: Violations, model_run_id: str) -> tuple[ModelRun, Dataset]:
        require_id(found, model_run_id)
        if not model_run_id:
            found.raise_if_any()
        model_run = await self._store.get_model_run(model_run_id)
        return model_run, await self._store.get_dataset(model_run.dataset_id)

    async def _model_runs(self, found: Violations, ids: Sequence[str]) -> list[ModelRun]:
        named = list(dict.fromkeys(each for each in ids if each))
        if not named or len(named) > MAX_MODEL_RUNS:
            found.raise_if_any()
        return list(await asyncio.gather(*(self._store.get_model_run(each) for each in named)))

    def _tuned(
        self,
        model_run: ModelRun,
        dataset: Dataset,
        *,
        space: SearchSpace,
        metrics: tuple[str, ...],
        request: SearchRequest,
    ) -> TuningSubject:
        evaluation = self._evaluation(
            model_run,
            dataset,
            metrics=metrics,
            cv_folds=request.cv_folds,
            random_state=request.random_state,
        )
        return TuningSubject(
            model_run_id=model_run.model_run_id,
            model_type=model_run.model_type,
            space=space,
            evaluation=evaluation,
        )

    def _evaluation(
        self,
        model_run: ModelRun,
        dataset: Dataset,
        *,
        metrics: tuple[str, ...],
        cv_folds: int,
        random_state: int,
    ) -> EvaluationSpec:
        return EvaluationSpec(
            dataset_id=dataset.dataset_id,
            dataset_hash=dataset.content_hash,
            model_type=model_run.model_type,
            fixed_parameters=model_run.fixed_parameters,
            steps=model_run.steps,
            cv_folds=cv_folds,
            metrics=metrics,
            random_state=random_state,
            trial_timeout_seconds=self._trial_timeout_seconds,
        )


def _schemas(model_run: ModelRun) -> dict[str, ParameterSchema]:
    return searchable_parameters(MODEL_TYPES[model_run.model_type], model_run.steps)


def _space(
    model_run: ModelRun, grid: Mapping[str, object] | None, field: str, *, method: str
) -> SearchSpace:
    """Reads a grid, or takes the model type's default one without what the model run fixes.

    Args:
        grid: None when the request brought none; a map that is empty counts as none in proto3.

    Raises: InvalidRequest.
    """
    if grid is None:
        return _default_space(model_run, field)
    limit = MAX_GRID_POINTS if method == GRID_SEARCH else _COUNTABLE_POINTS
    return parse_param_grid(grid, _schemas(model_run), field=field, max_points=limit)


def _default_space(model_run: ModelRun, field: str) -> SearchSpace:
    default = MODEL_TYPES[model_run.model_type].default_space
    free = [each for each in default.parameters if each.name not in model_run.fixed_parameters]
    if not free:
        found = Violations()
        found.add(
            field,
            f"is missing, and the model run fixes every parameter of the default grid of "
            f"{model_run.model_type} ({', '.join(default.names)}); give a grid",
        )
        found.raise_if_any()
    return SearchSpace.of(free)


def _check_metric_count(found: Violations, field: str, names: Sequence[str]) -> None:
    """Refuses a list too long to be looked at one by one."""
    if len(names) > _MAX_METRICS:
        found.add(field, f"has {len(names)} members, above the limit of {_MAX_METRICS}")
        found.raise_if_any()


def _check_ids(found: Violations, request: ComparisonRequest) -> None:
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
    for each in sorted(set(request.param_grids) - set(ids)):
        found.add(
            f'param_grids["{each}"]',
            "is not among model_run_ids; add it there, or leave its grid out",
        )


def _check_same_data(found: Violations, ids: Sequence[str], model_runs: Sequence[ModelRun]) -> None:
    first = model_runs[0]
    task = MODEL_TYPES[first.model_type].task
    for model_run in model_runs[1:]:
        field = f"model_run_ids[{ids.index(model_run.model_run_id)}]"
        its_task = MODEL_TYPES[model_run.model_type].task
        if its_task is not task:
            found.add(
                field,
                f"{model_run.model_type} is for {its_task.value} and {first.model_type}, the "
                f"first, for {task.value}: their scores cannot be compared",
            )
        elif model_run.dataset_id != first.dataset_id:
            found.add(
                field,
                f"is on dataset {model_run.dataset_id} and the first on {first.dataset_id}: a "
                "comparison needs the same folds for all",
            )
