"""Cross-validating one assignment after another, as GridSearchCV would. Runs inside a child."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sklearn
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring

from services.core.objective import EvaluationSpec
from services.core.space import Assignment
from services.core.trial import Failure, FailureKind, SplitScores
from services.worker.adapters.evaluation.estimators import BuiltEstimator, Estimator, build
from services.worker.adapters.evaluation.failures import clip, failure_of
from services.worker.adapters.evaluation.folds import Fold, Folds, FoldStore
from services.worker.ports import Evaluation

OnSplit = Callable[[int, float], None]


class PreparedEvaluation:
    """One tuning run's estimator and folds, ready for assignments.

    Raises: ValueError, OSError: the spec does not fit the data, or the data cannot be read.
    """

    def __init__(self, spec: EvaluationSpec, folder: Path, *, folds: FoldStore) -> None:
        data = folds.dataset(folder)
        self._built: BuiltEstimator = build(
            spec, numeric=data.numeric, categorical=data.categorical
        )
        estimator = self._built.estimator
        self._folds: Folds = folds.folds(
            folder, n_folds=spec.cv_folds, classifier=is_classifier(estimator)
        )
        self._metrics = spec.metrics
        # One scorer asks the estimator once for what several metrics need.
        self._scorer = check_scoring(estimator, scoring=list(spec.metrics))

    def evaluate(self, parameters: Assignment, on_split: OnSplit) -> Evaluation:
        """Fits and scores every fold; a failure keeps the splits that finished."""
        outcome = _Outcome(metrics={name: [] for name in self._metrics})
        try:
            candidate = self._built.with_parameters(parameters)
        except (ValueError, TypeError) as error:
            return outcome.failed(
                Failure(kind=FailureKind.INVALID_PARAMETERS, message=clip(str(error)))
            )
        for split in range(len(self._folds)):
            # scikit-learn validates parameters at each fit; a candidate's do not change between folds.
            try:
                with sklearn.config_context(skip_parameter_validation=split > 0):
                    scores = self._fit_and_score(candidate, self._folds[split], outcome)
            except Exception as error:  # noqa: BLE001 (what estimators raise is a result)
                return outcome.failed(failure_of(error))
            objective = scores[self._metrics[0]]
            if not math.isfinite(objective):
                return outcome.failed(
                    Failure(
                        kind=FailureKind.NON_FINITE,
                        message=f"{self._metrics[0]} is {objective} on split {split}",
                    )
                )
            outcome.add(scores)
            on_split(split, objective)
        return outcome.succeeded()

    def _fit_and_score(
        self, candidate: Estimator, fold: Fold, outcome: _Outcome
    ) -> dict[str, float]:
        estimator = sklearn.clone(candidate)
        started = time.perf_counter()
        try:
            estimator.fit(fold.train_features, fold.train_target)
        finally:
            fitted = time.perf_counter()
            outcome.fit_seconds += fitted - started
        try:
            scores: Mapping[str, Any] = self._scorer(
                estimator, fold.test_features, fold.test_target
            )
        finally:
            outcome.score_seconds += time.perf_counter() - fitted
        return {name: float(score) for name, score in scores.items()}


@dataclass(slots=True, kw_only=True, eq=False)
class _Outcome:
    metrics: dict[str, list[float]]
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    failure: Failure | None = field(default=None)

    def add(self, scores: Mapping[str, float]) -> None:
        for name, collected in self.metrics.items():
            collected.append(scores[name])

    def failed(self, failure: Failure) -> Evaluation:
        self.failure = failure
        return self.succeeded()

    def succeeded(self) -> Evaluation:
        return Evaluation(
            metrics=tuple(
                SplitScores(metric=name, scores=tuple(collected))
                for name, collected in self.metrics.items()
                if collected
            ),
            failure=self.failure,
            fit_seconds=self.fit_seconds,
            score_seconds=self.score_seconds,
        )
