"""Starting orchestrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from crescendo.client import decoding
from crescendo.client.connection import Connection
from crescendo.client.model import Orchestration, PlanStage, StoppingRules
from crescendo.client.requests import optional_fields, stage_to_proto
from crescendo.client.search_options import (
    PresetOptions,
    ScoringOptions,
    option_fields,
    points_to_proto,
    spaces_by_model_run,
)
from crescendo.client.spaces import (
    Distribution,
    GivenSpace,
    distributions_to_proto,
    space_to_proto,
)
from crescendo.client.values import (
    Grids,
    Parameters,
    grid_list_to_proto,
    grid_to_proto,
    json_value,
)
from tuning.v1 import orchestration_service_pb2 as orchestration_rpc
from tuning.v1 import tuning_service_pb2 as tuning_rpc


class Starting(Connection):
    """Starts orchestrations; what all starts take is in `crescendo.client.search_options`."""

    def start_progressive_search(
        self,
        model_run_id: str,
        grid: Grids | None = None,
        *,
        distributions: Mapping[str, Distribution] | None = None,
        search_space: GivenSpace | None = None,
        scales: Mapping[str, str] | None = None,
        refinement_factor: float | None = None,
        refinement: str | None = None,
        explore: float | None = None,
        n_iter_random: int | None = None,
        n_iter_bayesian: int | None = None,
        stage_stopping: StoppingRules | None = None,
        **options: Unpack[PresetOptions],
    ) -> Orchestration:
        """Starts grid → random → bayesian, each stage on the space refined from those before it.

        Args:
            grid: parameter → values; or a list of grids that are searched together.
            distributions: parameter → `uniform(…)`, `loguniform(…)` and so on, beside the grid's.
            search_space: a typed space, instead of the other two.
            scales: parameter → `log` or `linear`, for lists of numbers that read otherwise.
            stage_stopping: ends each stage's search early; the next goes on.
            options: those of `PresetOptions`.
        """
        request = orchestration_rpc.StartProgressiveSearchRequest(
            model_run_id=model_run_id,
            initial_param_grid=grid_to_proto(grid),
            initial_param_grid_list=grid_list_to_proto(grid),
            distributions=distributions_to_proto(distributions),
            search_space=None if search_space is None else space_to_proto(search_space),
            scales=scales,
            **optional_fields(
                refinement_factor=refinement_factor,
                refinement=refinement,
                explore=explore,
                n_iter_random=n_iter_random,
                n_iter_bayesian=n_iter_bayesian,
            ),
            **option_fields({**options, "stage_stopping": stage_stopping}),
        )
        answer = self._coordinator.call(self._orchestrations.StartProgressiveSearch, request)
        return decoding.orchestration(answer.orchestration)

    def compare(
        self,
        model_run_ids: Sequence[str],
        *,
        method: str | None = None,
        grids: Mapping[str, Grids] | None = None,
        distributions: Mapping[str, Mapping[str, Distribution]] | None = None,
        search_spaces: Mapping[str, GivenSpace] | None = None,
        scales: Mapping[str, Mapping[str, str]] | None = None,
        n_iter: int | None = None,
        parallel: bool | None = None,
        stage_stopping: StoppingRules | None = None,
        **options: Unpack[PresetOptions],
    ) -> Orchestration:
        """Tunes several model runs by one method on the same folds, metric and seed, and ranks them.

        Args:
            grids: model run id → its grid, or list of grids; those without one use their model type's default.
            distributions: model run id → parameter → distribution, beside its grid.
            search_spaces: model run id → its typed space, instead of the other two.
            scales: model run id → parameter → `log` or `linear`, for lists of numbers.
            n_iter: trials per model; `grid_search` runs every point.
            stage_stopping: ends the search of each model early.
            options: those of `PresetOptions`; a preset space is for those without a space of their own.
        """
        request = orchestration_rpc.StartMultiModelComparisonRequest(
            model_run_ids=model_run_ids,
            **spaces_by_model_run(
                grids=grids,
                distributions=distributions,
                search_spaces=search_spaces,
                scales=scales,
            ),
            **optional_fields(tuning_method=method, n_iter=n_iter, parallel=parallel),
            **option_fields({**options, "stage_stopping": stage_stopping}),
        )
        answer = self._coordinator.call(self._orchestrations.StartMultiModelComparison, request)
        return decoding.orchestration(answer.orchestration)

    def start_plan(
        self,
        model_run_ids: Sequence[str],
        stages: Sequence[PlanStage],
        *,
        grids: Mapping[str, Grids] | None = None,
        distributions: Mapping[str, Mapping[str, Distribution]] | None = None,
        search_spaces: Mapping[str, GivenSpace] | None = None,
        scales: Mapping[str, Mapping[str, str]] | None = None,
        points_to_try: Mapping[str, Sequence[Parameters]] | None = None,
        try_current_parameters: bool | None = None,
        parallel: bool | None = None,
        **options: Unpack[PresetOptions],
    ) -> Orchestration:
        """Starts stages that follow one another, each on what those before it have found.

        Args:
            stages: in order; every one tunes all model runs.
            grids: model run id → its grid, or list of grids; those without one use their model type's default.
            distributions: model run id → parameter → distribution, beside its grid.
            search_spaces: model run id → its typed space, instead of the other two.
            scales: model run id → parameter → `log` or `linear`, for lists of numbers.
            points_to_try: model run id → what its first stage tries first; parameters left out have their
                current values.
            try_current_parameters: as the first trial, where they lie in the first stage's space; not by
                `grid_search`.
            options: those of `PresetOptions`; a preset space is for those without a space of their own, and
                `config_type` shares its trials among stages that do not say how many.
        """
        request = orchestration_rpc.StartPlanRequest(
            model_run_ids=model_run_ids,
            stages=[stage_to_proto(each) for each in stages],
            **spaces_by_model_run(
                grids=grids,
                distributions=distributions,
                search_spaces=search_spaces,
                scales=scales,
            ),
            points_to_try={
                key: orchestration_rpc.PointsToTry(points=points_to_proto(each))
                for key, each in (points_to_try or {}).items()
            },
            **optional_fields(parallel=parallel, try_current_parameters=try_current_parameters),
            **option_fields(options),
        )
        answer = self._coordinator.call(self._orchestrations.StartPlan, request)
        return decoding.orchestration(answer.orchestration)

    def tune(
        self,
        model_run_id: str,
        grid: Grids | None = None,
        *,
        distributions: Mapping[str, Distribution] | None = None,
        search_space: GivenSpace | None = None,
        scales: Mapping[str, str] | None = None,
        method: str | None = None,
        additional_metrics: Sequence[str] = (),
        n_iter: int | None = None,
        points_to_try: Sequence[Parameters] = (),
        try_current_parameters: bool | None = None,
        radius: float | None = None,
        **options: Unpack[PresetOptions],
    ) -> Orchestration:
        """Tunes one model run by one method.

        Args:
            grid: parameter → values; or a list of grids that are searched together.
            distributions: parameter → `uniform(…)`, `loguniform(…)` and so on, beside the grid's.
            search_space: a typed space, instead of the other two.
            scales: parameter → `log` or `linear`, for lists of numbers that read otherwise.
            method: `grid_search`, `random_search`, `sobol`, `bayesian`, `bayesian_skopt`,
                `tpe` or `local`.
            points_to_try: tried first; parameters left out have their current values.
            try_current_parameters: as trial 0, where they lie in the space; not by `grid_search`.
            radius: how far `local` goes from the current parameters, as a share of each range.
            options: those of `PresetOptions`.
        """
        request = tuning_rpc.StartTuningRequest(
            model_run_id=model_run_id,
            param_grid=grid_to_proto(grid),
            param_grid_list=grid_list_to_proto(grid),
            additional_metrics=additional_metrics,
            distributions=distributions_to_proto(distributions),
            search_space=None if search_space is None else space_to_proto(search_space),
            scales=scales,
            points_to_try=points_to_proto(points_to_try),
            **optional_fields(
                tuning_method=method,
                n_iter=n_iter,
                try_current_parameters=try_current_parameters,
                radius=radius,
            ),
            **option_fields(options),
        )
        answer = self._coordinator.call(self._tunings.StartTuning, request)
        return decoding.orchestration(answer.orchestration)

    def cross_validate(
        self,
        model_run_id: str,
        parameters: Parameters | None = None,
        *,
        scoring_metrics: Sequence[str] = (),
        **options: Unpack[ScoringOptions],
    ) -> Orchestration:
        """Cross-validates one model run as it is: one trial, with its scores per split."""
        request = tuning_rpc.StartCrossValidationRequest(
            model_run_id=model_run_id,
            parameters={name: json_value(value) for name, value in (parameters or {}).items()},
            scoring_metrics=scoring_metrics,
            **option_fields(options),
        )
        answer = self._coordinator.call(self._tunings.StartCrossValidation, request)
        return decoding.orchestration(answer.orchestration)
