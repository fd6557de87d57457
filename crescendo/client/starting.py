"""Starting orchestrations, and steering them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from crescendo.client import decoding
from crescendo.client.connection import Connection
from crescendo.client.model import Orchestration
from crescendo.client.requests import optional_fields
from crescendo.client.values import Grid, Parameters, grid_to_proto, grid_to_struct, json_value
from tuning.v1 import orchestration_service_pb2 as orchestration_rpc
from tuning.v1 import tuning_service_pb2 as tuning_rpc


class Starting(Connection):
    """Starts orchestrations and steers them."""

    def start_progressive_search(
        self,
        model_run_id: str,
        grid: Grid | None = None,
        *,
        refinement_factor: float | None = None,
        cv_folds: int | None = None,
        scoring_metric: str | None = None,
        n_iter_random: int | None = None,
        n_iter_bayesian: int | None = None,
        random_state: int | None = None,
        max_concurrent_trials: int | None = None,
        study_name: str | None = None,
        request_id: str | None = None,
        validate_only: bool = False,
    ) -> Orchestration:
        """Starts grid → random → bayesian, each stage on the space refined from those before it."""
        request = orchestration_rpc.StartProgressiveSearchRequest(
            model_run_id=model_run_id,
            initial_param_grid=grid_to_proto(grid),
            request_id=request_id or str(uuid.uuid4()),
            validate_only=validate_only,
            **optional_fields(
                refinement_factor=refinement_factor,
                cv_folds=cv_folds,
                scoring_metric=scoring_metric,
                n_iter_random=n_iter_random,
                n_iter_bayesian=n_iter_bayesian,
                random_state=random_state,
                max_concurrent_trials=max_concurrent_trials,
                study_name=study_name,
            ),
        )
        answer = self._coordinator.call(self._orchestrations.StartProgressiveSearch, request)
        return decoding.orchestration(answer.orchestration)

    def compare(
        self,
        model_run_ids: Sequence[str],
        *,
        method: str | None = None,
        grids: Mapping[str, Grid] | None = None,
        cv_folds: int | None = None,
        scoring_metric: str | None = None,
        n_iter: int | None = None,
        parallel: bool | None = None,
        random_state: int | None = None,
        max_concurrent_trials: int | None = None,
        study_name: str | None = None,
        request_id: str | None = None,
        validate_only: bool = False,
    ) -> Orchestration:
        """Tunes several model runs by one method on the same folds, metric and seed, and ranks them.

        Args:
            grids: model run id → its grid; those without one use their model type's default.
        """
        request = orchestration_rpc.StartMultiModelComparisonRequest(
            model_run_ids=model_run_ids,
            param_grids={key: grid_to_struct(grid) for key, grid in (grids or {}).items()},
            request_id=request_id or str(uuid.uuid4()),
            validate_only=validate_only,
            **optional_fields(
                tuning_method=method,
                cv_folds=cv_folds,
                scoring_metric=scoring_metric,
                n_iter=n_iter,
                parallel=parallel,
                random_state=random_state,
                max_concurrent_trials=max_concurrent_trials,
                study_name=study_name,
            ),
        )
        answer = self._coordinator.call(self._orchestrations.StartMultiModelComparison, request)
        return decoding.orchestration(answer.orchestration)

    def tune(
        self,
        model_run_id: str,
        grid: Grid | None = None,
        *,
        method: str | None = None,
        cv_folds: int | None = None,
        scoring_metric: str | None = None,
        additional_metrics: Sequence[str] = (),
        n_iter: int | None = None,
        random_state: int | None = None,
        max_concurrent_trials: int | None = None,
        study_name: str | None = None,
        request_id: str | None = None,
        validate_only: bool = False,
    ) -> Orchestration:
        """Tunes one model run by one method: `grid_search`, `random_search` or `bayesian`."""
        request = tuning_rpc.StartTuningRequest(
            model_run_id=model_run_id,
            param_grid=grid_to_proto(grid),
            additional_metrics=additional_metrics,
            request_id=request_id or str(uuid.uuid4()),
            validate_only=validate_only,
            **optional_fields(
                tuning_method=method,
                cv_folds=cv_folds,
                scoring_metric=scoring_metric,
                n_iter=n_iter,
                random_state=random_state,
                max_concurrent_trials=max_concurrent_trials,
                study_name=study_name,
            ),
        )
        answer = self._coordinator.call(self._tunings.StartTuning, request)
        return decoding.orchestration(answer.orchestration)

    def cross_validate(
        self,
        model_run_id: str,
        parameters: Parameters | None = None,
        *,
        cv_folds: int | None = None,
        scoring_metrics: Sequence[str] = (),
        random_state: int | None = None,
        request_id: str | None = None,
        validate_only: bool = False,
    ) -> Orchestration:
        """Cross-validates one model run as it is: one trial, with its scores per split."""
        request = tuning_rpc.StartCrossValidationRequest(
            model_run_id=model_run_id,
            parameters={name: json_value(value) for name, value in (parameters or {}).items()},
            scoring_metrics=scoring_metrics,
            request_id=request_id or str(uuid.uuid4()),
            validate_only=validate_only,
            **optional_fields(cv_folds=cv_folds, random_state=random_state),
        )
        answer = self._coordinator.call(self._tunings.StartCrossValidation, request)
        return decoding.orchestration(answer.orchestration)

    def cancel(self, orchestration_id: str) -> Orchestration:
        """Ends an orchestration now; its open trials are cancelled."""
        request = orchestration_rpc.CancelOrchestrationRequest(orchestration_id=orchestration_id)
        answer = self._coordinator.call(self._orchestrations.CancelOrchestration, request)
        return decoding.orchestration(answer.orchestration)

    def pause(self, orchestration_id: str) -> Orchestration:
        """Hands out no more trials until it is resumed; those that run are finished."""
        request = orchestration_rpc.PauseOrchestrationRequest(orchestration_id=orchestration_id)
        answer = self._coordinator.call(self._orchestrations.PauseOrchestration, request)
        return decoding.orchestration(answer.orchestration)

    def resume(self, orchestration_id: str) -> Orchestration:
        """Goes on after a pause."""
        request = orchestration_rpc.ResumeOrchestrationRequest(orchestration_id=orchestration_id)
        answer = self._coordinator.call(self._orchestrations.ResumeOrchestration, request)
        return decoding.orchestration(answer.orchestration)

    def trigger(self, orchestration_id: str) -> Orchestration:
        """Ends the running stage now and starts the next on what is known."""
        request = orchestration_rpc.TriggerNextStageRequest(orchestration_id=orchestration_id)
        answer = self._coordinator.call(self._orchestrations.TriggerNextStage, request)
        return decoding.orchestration(answer.orchestration)
