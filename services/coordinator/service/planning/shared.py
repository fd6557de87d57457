"""What all searches share: on what data and terms they run, checked in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.coordinator.ports import ModelRun, RequestStore
from services.coordinator.service.checking import (
    check_budget,
    check_identity,
    check_search,
    check_stopping,
)
from services.coordinator.service.planning.model_runs import check_same_data
from services.coordinator.service.planning.scoring import NamedMetric, Scoring, check_scoring
from services.coordinator.service.preset_spaces import SearchedSpace
from services.coordinator.service.pruning_checks import check_pruning, check_steps
from services.coordinator.service.requests import RequestIdentity, SearchRequest
from services.coordinator.service.selection_checks import check_selection
from services.coordinator.service.spaces import check_resolution
from services.core.budget import Budget
from services.core.errors import NotFound
from services.core.limits import MAX_MODEL_RUNS
from services.core.metrics import default_metric
from services.core.presets import Terms, TuningSubject
from services.core.pruning_settings import Pruning
from services.core.selection import Selection
from services.core.start_points import NO_START_POINTS, StartPoints
from services.core.stopping import StoppingRules
from services.core.violations import Violations


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedParts:
    """What all searches come down to, but for their spaces and stages.

    Attributes:
        model_runs: those that exist, in the order they were asked for; at least one, all on the data
            of `scoring`.
        missing: why each of the others was not found, by its path in the request.
        stage_stopping: what ends each tuning run early, as `stopping` ends all of it.
    """

    request: SearchRequest
    model_runs: tuple[ModelRun, ...]
    missing: Mapping[str, NotFound]
    scoring: Scoring
    budget: Budget
    stopping: StoppingRules
    stage_stopping: StoppingRules
    pruning: Pruning | None
    selection: Selection

    def subject(
        self, model_run: ModelRun, searched: SearchedSpace, start: StartPoints = NO_START_POINTS
    ) -> TuningSubject:
        """Says what is tuned of one model run."""
        return TuningSubject(
            model_run_id=model_run.model_run_id,
            model_type=model_run.model_type,
            space=searched.space,
            evaluation=self.scoring.evaluation(model_run, self.budget),
            grid_resolution=self.request.grid_resolution,
            grid=searched.grid,
            start=start,
        )

    def refuse_if_wrong(self, found: Violations) -> None:
        """Ends the checks of a request.

        Raises: InvalidRequest: something is wrong; model runs that were not found are listed with it.
            NotFound: nothing but that.
        """
        _refuse(found, self.missing)

    def terms(self, told: Sequence[str] = ()) -> Terms:
        """Says on what terms the plan runs; `told` are notices about its spaces."""
        return Terms(
            max_concurrent_trials=self.request.max_concurrent_trials,
            study_name=self.request.study_name,
            budget=self.budget,
            priority=self.request.priority,
            worker_class=self.request.worker_class,
            notices=(*self.scoring.notices, *told),
            stopping=self.stopping,
            stage_stopping=self.stage_stopping,
            pruning=self.pruning,
            selection=self.selection,
        )


class Sharing:
    """Checks and fetches what all searches share.

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
        self._trial_timeout_seconds = trial_timeout_seconds
        self._price_per_hour = price_per_hour

    async def parts(
        self,
        found: Violations,
        request: SearchRequest,
        paths: Mapping[str, str],
        *,
        additional_metrics: Sequence[NamedMetric] = (),
    ) -> SharedParts:
        """Checks all of it, gathering violations; fetches the model runs and their data.

        Args:
            found: with what needs no data checked already, since a model run may not be found.
            paths: of the model runs in the request, by id, checked before.
            additional_metrics: recorded beside the objective.

        Raises: InvalidRequest: no model run is named, or none of them exists and more is wrong.
            NotFound: none of them exists.
        """
        budget = self.budget(found, request.budget)
        stopping = check_stopping(found, "stopping", request.stopping)
        stage_stopping = check_stopping(found, "stage_stopping", request.stage_stopping)
        model_runs, missing = await self._model_runs(found, paths)
        dataset = await self._store.get_dataset(model_runs[0].dataset_id)
        metric = request.scoring_metric or default_metric(dataset.task)
        scoring = check_scoring(
            found,
            request,
            dataset=dataset,
            model_runs=model_runs,
            metrics=(NamedMetric(field="scoring_metric", name=metric), *additional_metrics),
        )
        check_same_data(found, paths, model_runs)
        pruning = check_pruning(found, request.pruning, metric=metric, splits=scoring.splits.count)
        check_steps(found, pruning, dataset=dataset, model_runs=model_runs, splits=scoring.splits)
        return SharedParts(
            request=request,
            model_runs=model_runs,
            missing=missing,
            scoring=scoring,
            budget=budget,
            stopping=stopping,
            stage_stopping=stage_stopping,
            pruning=pruning,
            selection=check_selection(found, request.selection, prunes=request.prunes),
        )

    def budget(self, found: Violations, limits: Mapping[str, float]) -> Budget:
        """Makes a budget of the limits that were set and the operator's."""
        return check_budget(
            found,
            limits,
            price_per_hour=self._price_per_hour,
            trial_timeout_seconds=self._trial_timeout_seconds,
        )

    async def model_run(self, found: Violations, model_run_id: str) -> ModelRun:
        """Fetches the one model run of a request.

        Raises: InvalidRequest: it is not named, or not found and more is wrong; NotFound.
        """
        (model_run,), _ = await self._model_runs(found, {model_run_id: "model_run_id"})
        return model_run

    async def _model_runs(
        self, found: Violations, paths: Mapping[str, str]
    ) -> tuple[tuple[ModelRun, ...], dict[str, NotFound]]:
        """Fetches each model run that is named, once.

        Returns: those there are, at least one; and why the others are not found, by path.
        Raises: InvalidRequest: none is named, too many are, or none exists and more is wrong; NotFound.
        """
        named = [each for each in paths if each]
        if not named or len(named) > MAX_MODEL_RUNS:
            found.raise_if_any()
        fetched = await asyncio.gather(*(self._fetched(each) for each in named))
        missing = {
            paths[name]: each
            for name, each in zip(named, fetched, strict=True)
            if isinstance(each, NotFound)
        }
        if len(missing) == len(named):
            _refuse(found, missing)
        return tuple(each for each in fetched if isinstance(each, ModelRun)), missing

    async def _fetched(self, model_run_id: str) -> ModelRun | NotFound:
        try:
            return await self._store.get_model_run(model_run_id)
        except NotFound as error:
            return error


def _refuse(found: Violations, missing: Mapping[str, NotFound]) -> None:
    if not found:
        for error in missing.values():
            raise error
    for path, error in missing.items():
        found.add(path, error.message)
    found.raise_if_any()


def check_request(request: SearchRequest, identity: RequestIdentity) -> Violations:
    """Checks what all searches share and no data is needed for. Returns: what is wrong with it."""
    found = Violations()
    check_identity(found, identity)
    check_search(found, request)
    check_resolution(found, request.grid_resolution)
    return found
