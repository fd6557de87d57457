"""All splits of one candidate, advanced round by round together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from services.core.intervals import SplitFacts
from services.core.statistics import mean_score
from services.worker.adapters.evaluation.estimators import Estimator
from services.worker.adapters.evaluation.folds import Fold
from services.worker.adapters.evaluation.prefixes import Ready
from services.worker.adapters.evaluation.round_fits import RoundFit, round_fit
from services.worker.adapters.evaluation.scored_splits import ScoredSplit

# Given a fitted model, and features, target and weights of some rows as it takes them, gives its scores.
Score = Callable[[Estimator, Any, Any, Any], Mapping[str, float]]


@dataclass(slots=True, kw_only=True, eq=False)
class _Split:
    fit: RoundFit
    fold: Fold
    steps: Estimator
    test_features: Any
    fit_seconds: float = 0.0
    score_seconds: float = 0.0


class RoundsTogether:
    """The fits of all splits. Every split's data and model are held until `close`.

    Steps of a Pipeline before the model are fitted once for each split, before its first round.

    Args:
        candidate: gives for a split an unfitted estimator, a Pipeline or a bare model.
        parameter: the model's own parameter that counts its rounds.
        rounds: of the whole fit, ≥ 1.
        weighted: whether the model takes the rows' weights.
        score: gives the scores of a model.
        score_training: gives those of each split's training part, in the end; None where nobody asks.
    """

    def __init__(
        self,
        candidate: Callable[[Fold], Ready],
        folds: Sequence[Fold],
        *,
        parameter: str,
        rounds: int,
        weighted: bool,
        score: Score,
        score_training: Score | None = None,
    ) -> None:
        self._candidate = candidate
        self._folds = folds
        self._parameter = parameter
        self.rounds = rounds
        self._weighted = weighted
        self._score = score
        self._score_training = score_training
        self._splits: list[_Split] = []

    def value(self, rounds: int, objective: str) -> float | None:
        """Gives the mean objective over the splits after so many rounds; None where it is not finite.

        Args:
            rounds: more than before, fewer than all.

        Raises: whatever an estimator raises.
        """
        scores = []
        for split in self._begun():
            started = time.perf_counter()
            model = split.fit.advance(rounds)
            split.fit_seconds += time.perf_counter() - started
            scores.append(self._scores(split, model)[objective])
        value = mean_score(scores)
        return value if np.isfinite(value) else None

    def finish(self, index: int) -> ScoredSplit:
        """Makes all rounds of one split, and scores it; raises whatever the estimator raises."""
        split = self._begun()[index]
        started = time.perf_counter()
        model = split.fit.finish()
        split.fit_seconds += time.perf_counter() - started
        test, fold = self._scores(split, model), split.fold
        train: Mapping[str, float] = {}
        if self._score_training is not None:
            features = fold.train_features
            if split.steps is not None:
                features = split.steps.transform(features)
            train = self._score_training(model, features, fold.train_target, fold.train_weights)
        facts = SplitFacts(
            train_rows=len(fold.train_target),
            test_rows=len(fold.test_target),
            fit_seconds=split.fit_seconds,
            score_seconds=split.score_seconds,
        )
        return ScoredSplit(test=test, train=train, facts=facts)

    def seconds(self) -> tuple[float, float]:
        """Gives the time spent fitting and scoring so far, over all splits."""
        fitting = sum(each.fit_seconds for each in self._splits)
        return fitting, sum(each.score_seconds for each in self._splits)

    def close(self) -> None:
        """Gives up what is not finished."""
        for each in self._splits:
            each.fit.close()
        self._splits = []

    def _begun(self) -> list[_Split]:
        while len(self._splits) < len(self._folds):
            self._splits.append(self._begin(self._folds[len(self._splits)]))
        return self._splits

    def _begin(self, fold: Fold) -> _Split:
        estimator = self._candidate(fold).estimator
        train, test = fold.train_features, fold.test_features
        started = time.perf_counter()
        model, before, testing = estimator, None, 0.0
        if isinstance(estimator, Pipeline):
            before, model = estimator[:-1], estimator.steps[-1][1]
            train = before.fit_transform(train, fold.train_target)
            fitted = time.perf_counter()
            test = before.transform(test)
            testing = time.perf_counter() - fitted
        arguments = {}
        if self._weighted and fold.train_weights is not None:
            arguments["sample_weight"] = fold.train_weights
        fit = round_fit(
            model,
            train,
            fold.train_target,
            arguments,
            parameter=self._parameter,
            rounds=self.rounds,
        )
        return _Split(
            fit=fit,
            fold=fold,
            steps=before,
            test_features=test,
            fit_seconds=time.perf_counter() - started - testing,
            score_seconds=testing,
        )

    def _scores(self, split: _Split, model: Estimator) -> Mapping[str, float]:
        started, fold = time.perf_counter(), split.fold
        try:
            return self._score(model, split.test_features, fold.test_target, fold.test_weights)
        finally:
            split.score_seconds += time.perf_counter() - started
