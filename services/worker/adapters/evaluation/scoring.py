"""Scorers by scikit-learn's names, told which of two classes is the positive one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from sklearn import metrics
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring, get_scorer, make_scorer

from services.core.metrics import positive_label
from services.worker.adapters.dataset_folder import TabularData

Scorer: TypeAlias = Any  # scikit-learn has no public type for these

_ACCURACY: Final = "accuracy"
# Kinds of arrays that are labels whatever they hold: booleans, whole numbers, text.
_LABELS: Final = "biuU"

# Scorers that depend on the positive class, with the arguments scikit-learn makes its own of.
_OF_POSITIVE_CLASS: Final[Mapping[str, tuple[Any, Mapping[str, Any]]]] = MappingProxyType(
    {
        "f1": (metrics.f1_score, {"average": "binary"}),
        "precision": (metrics.precision_score, {"average": "binary"}),
        "recall": (metrics.recall_score, {"average": "binary"}),
        "jaccard": (metrics.jaccard_score, {"average": "binary"}),
        "average_precision": (
            metrics.average_precision_score,
            {"response_method": ("decision_function", "predict_proba")},
        ),
        "neg_brier_score": (
            metrics.brier_score_loss,
            {"greater_is_better": False, "response_method": "predict_proba"},
        ),
        "d2_brier_score": (metrics.d2_brier_score, {"response_method": "predict_proba"}),
    }
)


def scorer_of(names: Sequence[str], estimator: Any, data: TabularData) -> Scorer:
    """Makes one scorer of several: it asks the estimator once for what several metrics need.

    Returns: a callable of estimator, features, target and, where weights are wanted, `sample_weight`,
        which gives name → score. It raises what the first metric raises; others that cannot be
        computed, such as a deviance of negative predictions, are NaN, as in scikit-learn's own searches.
    """
    several = _Several(estimator, {name: _scorer(name, data) for name in names})
    counts = tuple(names) == (_ACCURACY,) and is_classifier(estimator)
    return _Accuracy(several) if counts else several


def training_scorer_of(scorer: Scorer) -> Scorer:
    """Makes a scorer of training parts of one by `scorer_of`: what cannot be computed there is NaN.

    A training score decides nothing, so that it fails no trial either.
    """
    return scorer.leniently


class _Several:
    """Several metrics at once, and one by one where one of them cannot be computed.

    Args:
        scorers: scikit-learn's, the objective first.
    """

    def __init__(self, estimator: Any, scorers: Mapping[str, Scorer]) -> None:
        self._scorers = scorers
        self._together = check_scoring(estimator, scoring=dict(scorers))

    def __call__(
        self, estimator: Any, features: Any, target: Any, **weights: Any
    ) -> Mapping[str, Any]:
        return self._scores(estimator, features, target, weights, needed=next(iter(self._scorers)))

    def leniently(
        self, estimator: Any, features: Any, target: Any, **weights: Any
    ) -> Mapping[str, Any]:
        """Gives NaN for the objective too, where that cannot be computed."""
        return self._scores(estimator, features, target, weights, needed=None)

    def _scores(
        self,
        estimator: Any,
        features: Any,
        target: Any,
        weights: Mapping[str, Any],
        *,
        needed: str | None,
    ) -> Mapping[str, Any]:
        try:
            scores: Mapping[str, Any] = self._together(estimator, features, target, **weights)
        except MemoryError:
            raise
        except Exception:
            if len(self._scorers) == 1 and needed is not None:
                raise
        else:
            return scores
        return {
            name: self._alone(name, estimator, features, target, weights, needed=name == needed)
            for name in self._scorers
        }

    def _alone(
        self,
        name: str,
        estimator: Any,
        features: Any,
        target: Any,
        weights: Mapping[str, Any],
        *,
        needed: bool,
    ) -> Any:
        scorer = check_scoring(estimator, scoring={name: self._scorers[name]})
        try:
            return scorer(estimator, features, target, **weights)[name]
        except MemoryError:
            raise
        except Exception:
            if needed:
                raise
            return math.nan


class _Accuracy:
    """scikit-learn's accuracy, counted at once where labels and predictions are alike.

    Its own way there takes as long as a small fit: it looks five times at what kind of labels they are.

    Args:
        scorer: for whatever is not alike.
    """

    def __init__(self, scorer: _Several) -> None:
        self._scorer = scorer

    def __call__(
        self, estimator: Any, features: Any, target: Any, **weights: Any
    ) -> Mapping[str, Any]:
        if not weights:
            predicted = estimator.predict(features)
            if _are_alike(target, predicted):
                return {_ACCURACY: float(np.count_nonzero(target == predicted) / len(target))}
        return self._scorer(estimator, features, target, **weights)

    def leniently(
        self, estimator: Any, features: Any, target: Any, **weights: Any
    ) -> Mapping[str, Any]:
        try:
            return self(estimator, features, target, **weights)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 (as below)
            return {_ACCURACY: math.nan}


def _are_alike(target: Any, predicted: Any) -> bool:
    return (
        type(target) is type(predicted) is np.ndarray
        and target.ndim == 1
        and len(target) > 0
        and target.shape == predicted.shape
        and target.dtype.kind == predicted.dtype.kind
        and target.dtype.kind in _LABELS
    )


def _scorer(name: str, data: TabularData) -> Scorer:
    if name in _OF_POSITIVE_CLASS:
        labels = {str(each): each for each in np.unique(data.target)}
        positive = labels.get(positive_label(tuple(labels), data.positive_label))
        # What equals 1 is positive to scikit-learn's own scorers; text never does.
        if len(labels) == 2 and positive is not None and positive != 1:
            function, arguments = _OF_POSITIVE_CLASS[name]
            return make_scorer(function, pos_label=positive, **arguments)
    return get_scorer(name)
