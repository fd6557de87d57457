"""Cross-validating one assignment after another, as GridSearchCV would. Runs inside a child."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.base import is_classifier

from services.core.early_stopping import early_stopping, early_stopping_problem
from services.core.intervals import IntervalMethod, SplitFacts, interval_method
from services.core.iterative_models import ROUNDS_PARAMETERS, rounds_of
from services.core.metrics import score_ceiling
from services.core.objective import EvaluationSpec
from services.core.pruning import PruneDecision, lossless
from services.core.pruning_settings import Pruning, StepKind
from services.core.space import Assignment
from services.core.step_judging import StepScore
from services.core.trial import Failure, FailureKind, SplitScores
from services.worker.adapters.dataset_folder import Features
from services.worker.adapters.evaluation.blame import Blame
from services.worker.adapters.evaluation.early_stopping import EarlyStoppingFits, InnerSplits
from services.worker.adapters.evaluation.estimators import BuiltEstimator, Estimator, build
from services.worker.adapters.evaluation.failures import failure_of, refusal_of
from services.worker.adapters.evaluation.folds import Fold, Folds, FoldStore
from services.worker.adapters.evaluation.prefix_cache import PrefixCache
from services.worker.adapters.evaluation.prefixes import PrefixedCandidate, Ready
from services.worker.adapters.evaluation.rounds_together import RoundsTogether
from services.worker.adapters.evaluation.rungs import TrainingRungs
from services.worker.adapters.evaluation.scored_splits import ScoredSplit
from services.worker.adapters.evaluation.scoring import Scorer, scorer_of, training_scorer_of
from services.worker.ports import Evaluation, Standard

# Given a split and its score, says why the evaluation ends there; None to go on.
OnSplit = Callable[[int, float], PruneDecision | None]
OnStep = Callable[[StepScore], PruneDecision | None]


class PreparedEvaluation:
    """One tuning run's estimator and folds, ready for assignments.

    Args:
        prefixes: keeps what preprocessing steps made of folds, for all that share it; None keeps nothing.

    Attributes:
        pruning: how its trials are stopped early; None when they are not.

    Raises: ValueError, OSError: the spec does not fit the data, or the data cannot be read.
    """

    def __init__(
        self,
        spec: EvaluationSpec,
        folder: Path,
        *,
        folds: FoldStore,
        prefixes: PrefixCache | None = None,
        pruning: Pruning | None = None,
    ) -> None:
        self.pruning = pruning
        data = folds.dataset(folder)
        self._built: BuiltEstimator = build(
            spec, numeric=data.numeric, categorical=data.categorical
        )
        estimator = self._built.estimator
        self._folds: Folds = folds.folds(folder, spec, classifier=is_classifier(estimator))
        self._prefixes = PrefixCache(0) if prefixes is None else prefixes
        self._metrics = spec.metrics
        self._ceiling = score_ceiling(spec.metrics[0])
        self._interval_method = interval_method(spec.splitter)
        self._scorer = scorer_of(spec.metrics, estimator, data)
        self._training_scorer = training_scorer_of(self._scorer)
        self._weight_parameter = self._built.weight_parameter
        self._weighted_scoring = spec.weighted_scoring
        self._return_train_scores = spec.return_train_scores
        self._blame = Blame(estimator)
        self._fixed = spec.fixed_parameters
        self._model_type = spec.model_type
        self._rungs = TrainingRungs(spec, self._folds, classifier=is_classifier(estimator))
        self._inner = InnerSplits(spec, data, classifier=is_classifier(estimator))

    def evaluate(
        self, parameters: Assignment, on_split: OnSplit, on_step: OnStep | None = None
    ) -> Evaluation:
        """Fits and scores every fold that nothing stops; a failure keeps those that finished.

        Args:
            on_step: hears of steps of other kinds than folds, where the run's pruning looks at them, before
                the first fold is told; None makes none.
        """
        outcome = _Outcome(
            metrics={name: [] for name in self._metrics},
            train={name: [] for name in self._metrics},
            interval_method=self._interval_method,
        )
        try:
            estimator = self._built.with_parameters(parameters)
            candidate = PrefixedCandidate(
                estimator, self._built.varied_stages(parameters), self._prefixes
            )
            stopping = self._stopping(parameters)
        except (ValueError, TypeError) as error:
            return outcome.failed(refusal_of(error))
        together = None if on_step is None else self._together(candidate, parameters)
        try:
            if on_step is not None:
                for score in self._steps(candidate, stopping, together, outcome):
                    decision = on_step(score)
                    if decision is not None and decision.stop:
                        return replace(outcome.succeeded(), prune_decision=decision)
            return self._all_splits(candidate, stopping, together, on_split, outcome)
        except Exception as error:  # noqa: BLE001 (what estimators raise is a result)
            refused = self._blame.lies_with_parameters(error, estimator, self._folds[0])
            return outcome.failed(refusal_of(error) if refused else failure_of(error))
        finally:
            if together is not None:
                together.close()

    def _all_splits(
        self,
        candidate: PrefixedCandidate,
        stopping: EarlyStoppingFits | None,
        together: RoundsTogether | None,
        on_split: OnSplit,
        outcome: _Outcome,
    ) -> Evaluation:
        for split in range(len(self._folds)):
            # scikit-learn validates parameters at each fit; a candidate's do not change between folds.
            with sklearn.config_context(skip_parameter_validation=split > 0):
                if together is None:
                    scored = self._fit_and_score(candidate, split, stopping, outcome)
                else:
                    scored = together.finish(split)
                    outcome.fit_seconds, outcome.score_seconds = together.seconds()
            objective = scored.test[self._metrics[0]]
            if not math.isfinite(objective):
                return outcome.failed(
                    Failure(
                        kind=FailureKind.NON_FINITE,
                        message=f"{self._metrics[0]} is {objective} on split {split}",
                    )
                )
            outcome.add(scored)
            decision = on_split(split, objective)
            if decision is not None and decision.stop:
                return replace(outcome.succeeded(), prune_decision=decision)
        return outcome.succeeded()

    def _together(
        self, candidate: PrefixedCandidate, parameters: Assignment
    ) -> RoundsTogether | None:
        """Prepares fits that advance together; None where steps are no rounds."""
        pruning = self.pruning
        if pruning is None or pruning.step_kind is not StepKind.BOOSTING_ROUND:
            return None
        return RoundsTogether(
            candidate.whole,
            self._folds,
            parameter=ROUNDS_PARAMETERS[self._model_type],
            rounds=rounds_of(self._model_type, {**self._fixed, **parameters}),
            weighted=bool(self._weight_parameter),
            score=self._scores,
            score_training=self._training_scores if self._return_train_scores else None,
        )

    def _steps(
        self,
        candidate: PrefixedCandidate,
        stopping: EarlyStoppingFits | None,
        together: RoundsTogether | None,
        outcome: _Outcome,
    ) -> Iterator[StepScore]:
        """Makes one step after another, those before the last that the run's pruning looks at."""
        pruning, objective = self.pruning, self._metrics[0]
        if pruning is None:
            return
        if together is not None:
            for step in range(1, together.rounds):
                if pruning.looks_at(step):
                    value = together.value(step, objective)
                    outcome.fit_seconds, outcome.score_seconds = together.seconds()
                    if value is not None:
                        yield StepScore(step=step, value=value, kind=pruning.step_kind)
        if pruning.step_kind is not StepKind.TRAINING_SIZE:
            return

        def fit_and_score(part: Fold, rows: npt.NDArray[np.intp]) -> float:
            return self._run(candidate.whole(part), rows, stopping, outcome).test[objective]

        for step, fraction in enumerate(pruning.training_fractions[:-1], start=1):
            if pruning.looks_at(step):
                value = self._rungs.value(fraction, fit_and_score)
                if value is not None:
                    yield StepScore(step=step, value=value, kind=pruning.step_kind)

    def bound(self, scores: Sequence[float], standard: Standard) -> PruneDecision | None:
        """Decides by its first splits whether a candidate can still meet a standard; None where none can say."""
        if self._ceiling is None:
            return None
        return lossless(
            scores,
            n_splits=len(self._folds),
            ceiling=self._ceiling,
            threshold=standard.threshold,
            place=standard.place,
        )

    def _stopping(self, parameters: Assignment) -> EarlyStoppingFits | None:
        """Says how a candidate stops early; raises ValueError where its parameters contradict that."""
        merged = {**self._fixed, **parameters}
        if problem := early_stopping_problem(merged):
            raise ValueError(f"early_stopping_rounds {problem}")
        stopping = early_stopping(merged)
        weighted = bool(self._weight_parameter)
        return (
            None
            if stopping is None
            else EarlyStoppingFits(self._inner, stopping, weighted=weighted)
        )

    def _fit_and_score(
        self,
        candidate: PrefixedCandidate,
        split: int,
        stopping: EarlyStoppingFits | None,
        outcome: _Outcome,
    ) -> ScoredSplit:
        fold: Fold = self._folds[split]
        # Rows set aside are not for preprocessing steps to see, and training parts are scored as
        # the fitted steps transform them, which is not what they gave when they were fitted.
        shares = stopping is None and not self._return_train_scores
        ready = candidate.ready(fold) if shares else candidate.whole(fold)
        try:
            return self._run(ready, self._folds.train_rows(split), stopping, outcome)
        except Exception as error:
            if not candidate.can_do_better(error, ready):
                raise
        del ready
        return self._run(candidate.whole(fold), self._folds.train_rows(split), stopping, outcome)

    def _run(
        self,
        ready: Ready,
        rows: npt.NDArray[np.intp],
        stopping: EarlyStoppingFits | None,
        outcome: _Outcome,
    ) -> ScoredSplit:
        estimator, fold = ready.estimator, ready.fold
        best_rounds = None
        weights = {}
        if fold.train_weights is not None and self._weight_parameter:
            weights = {self._weight_parameter: fold.train_weights}
        outcome.fit_seconds += ready.fit_seconds
        outcome.score_seconds += ready.score_seconds
        started = time.perf_counter()
        try:
            if stopping is None:
                estimator.fit(fold.train_features, fold.train_target, **weights)
            else:
                best_rounds = stopping.fit(estimator, fold, rows)
        finally:
            fitted = time.perf_counter()
            outcome.fit_seconds += fitted - started
        try:
            test = self._scores(estimator, fold.test_features, fold.test_target, fold.test_weights)
        finally:
            scored = time.perf_counter()
            outcome.score_seconds += scored - fitted
        facts = SplitFacts(
            train_rows=len(fold.train_target),
            test_rows=len(fold.test_target),
            fit_seconds=ready.fit_seconds + fitted - started,
            score_seconds=ready.score_seconds + scored - fitted,
            best_rounds=best_rounds,
            optimistic=stopping is not None and stopping.optimistic,
        )
        # Not in the time of scoring, as in scikit-learn: that is the time its metrics take.
        train = (
            self._training_scores(
                estimator, fold.train_features, fold.train_target, fold.train_weights
            )
            if self._return_train_scores
            else {}
        )
        return ScoredSplit(test=test, train=train, facts=facts)

    def _scores(
        self, estimator: Estimator, features: Features, target: Any, weights: Any
    ) -> dict[str, float]:
        return self._scored(self._scorer, estimator, features, target, weights)

    def _training_scores(
        self, estimator: Estimator, features: Features, target: Any, weights: Any
    ) -> dict[str, float]:
        return self._scored(self._training_scorer, estimator, features, target, weights)

    def _scored(
        self, scorer: Scorer, estimator: Estimator, features: Features, target: Any, weights: Any
    ) -> dict[str, float]:
        given = {"sample_weight": weights} if self._weighted_scoring else {}
        scores: Mapping[str, Any] = scorer(estimator, features, target, **given)
        return {name: float(score) for name, score in scores.items()}


@dataclass(slots=True, kw_only=True, eq=False)
class _Outcome:
    metrics: dict[str, list[float]]
    train: dict[str, list[float]]
    interval_method: IntervalMethod
    splits: list[SplitFacts] = field(default_factory=list)
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    failure: Failure | None = field(default=None)

    def add(self, scored: ScoredSplit) -> None:
        self.splits.append(scored.facts)
        for name, collected in self.metrics.items():
            collected.append(scored.test[name])
        for name, score in scored.train.items():
            self.train[name].append(score)

    def failed(self, failure: Failure) -> Evaluation:
        self.failure = failure
        return self.succeeded()

    def succeeded(self) -> Evaluation:
        return Evaluation(
            metrics=tuple(
                SplitScores(
                    metric=name, scores=tuple(collected), train_scores=tuple(self.train[name])
                )
                for name, collected in self.metrics.items()
                if collected
            ),
            failure=self.failure,
            fit_seconds=self.fit_seconds,
            score_seconds=self.score_seconds,
            splits=tuple(self.splits),
            interval_method=self.interval_method,
        )
