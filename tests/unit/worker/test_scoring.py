"""Accuracy that is counted at once is scikit-learn's, whatever labels and predictions are; what cannot be scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import check_scoring

from services.worker.adapters.dataset_folder import TabularData
from services.worker.adapters.evaluation.scoring import scorer_of, training_scorer_of

FEATURES = np.zeros((4, 1))


class Foreseen(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predicts what it is told to."""

    def __init__(self, predicted: Any) -> None:
        self.predicted = predicted
        self.classes_ = np.unique(np.asarray(predicted))

    def predict(self, _features: Any) -> Any:
        if isinstance(self.predicted, Exception):
            raise self.predicted
        return self.predicted


@dataclass(frozen=True)
class Labels:
    target: Any
    predicted: Any


LABELS: Mapping[str, Labels] = {
    "two classes": Labels(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])),
    "many classes": Labels(np.array([3, 1, 2, 0]), np.array([3, 1, 1, 9])),
    "other sizes of number": Labels(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0], dtype=np.int8)),
    "booleans": Labels(np.array([True, False, True, True]), np.array([True, True, True, False])),
    "text": Labels(np.array(["a", "b", "b", "a"]), np.array(["a", "b", "long", "b"])),
    "text as objects": Labels(
        np.array(["a", "b", "b", "a"]), np.array(["a", "b", "b", "b"], dtype=object)
    ),
    "whole floats": Labels(np.array([0, 1, 1, 0]), np.array([0.0, 1.0, 0.0, 0.0])),
    "floats": Labels(np.array([0, 1, 1, 0]), np.array([0.5, 1.0, 0.0, 0.0])),
    "not finite": Labels(np.array([0, 1, 1, 0]), np.array([np.nan, 1.0, 0.0, 0.0])),
    "booleans for numbers": Labels(np.array([0, 1, 1, 0]), np.array([False, True, True, True])),
    "numbers for text": Labels(np.array(["a", "b", "b", "a"]), np.array([0, 1, 1, 0])),
    "a column": Labels(np.array([0, 1, 1, 0]), np.array([[0], [1], [0], [0]])),
    "two columns": Labels(np.array([0, 1, 1, 0]), np.zeros((4, 2), dtype=int)),
    "a list": Labels(np.array([0, 1, 1, 0]), [0, 1, 0, 0]),
    "too few": Labels(np.array([0, 1, 1, 0]), np.array([0, 1, 1])),
    "none at all": Labels(np.array([], dtype=int), np.array([], dtype=int)),
}


def _outcome(scorer: Any, estimator: Any, target: Any, **weights: Any) -> Any:
    try:
        return scorer(estimator, FEATURES, target, **weights)
    except Exception as error:  # noqa: BLE001 (what is compared)
        return type(error), str(error)


def _assert_the_same(labels: Labels, **weights: Any) -> None:
    data = TabularData(features=FEATURES, target=labels.target, numeric=("a",), categorical=())
    estimator = Foreseen(labels.predicted)
    ours = scorer_of(["accuracy"], DummyClassifier(), data)
    theirs = check_scoring(DummyClassifier(), scoring={"accuracy": "accuracy"})
    assert repr(_outcome(ours, estimator, labels.target, **weights)) == repr(
        _outcome(theirs, estimator, labels.target, **weights)
    )


@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::RuntimeWarning", "ignore::FutureWarning"
)
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_scores_and_refusals_are_those_of_scikit_learn(labels: Labels) -> None:
    _assert_the_same(labels)


def test_weights_count() -> None:
    labels = LABELS["two classes"]
    _assert_the_same(labels, sample_weight=np.array([1.0, 2.0, 4.0, 8.0]))


def test_what_a_prediction_raises_is_raised() -> None:
    target = LABELS["two classes"].target
    data = TabularData(features=FEATURES, target=target, numeric=("a",), categorical=())
    estimator = Foreseen(predicted=OverflowError("too much"))
    with pytest.raises(OverflowError, match="too much"):
        scorer_of(["accuracy"], DummyClassifier(), data)(estimator, FEATURES, target)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=200))
def test_every_share_is_the_same_number(pairs: list[tuple[int, int]]) -> None:
    both: npt.NDArray[np.int64] = np.array(pairs)
    _assert_the_same(Labels(both[:, 0], both[:, 1]))


@pytest.mark.parametrize("others", [(), ("neg_mean_absolute_error",)])
def test_what_cannot_be_computed_of_a_training_part_is_nan(others: tuple[str, ...]) -> None:
    target = np.array([1.0, 2.0, 1.0, 2.0])
    data = TabularData(features=FEATURES, target=target, numeric=("a",), categorical=())
    # A deviance takes no negative predictions.
    estimator = DummyRegressor(strategy="constant", constant=-1.0).fit(FEATURES, target)
    scorer = scorer_of(["neg_mean_poisson_deviance", *others], DummyRegressor(), data)
    with pytest.raises(ValueError, match="strictly positive y_pred"):
        scorer(estimator, FEATURES, target)
    scores = training_scorer_of(scorer)(estimator, FEATURES, target)
    assert repr(scores.pop("neg_mean_poisson_deviance")) == "nan"
    assert scores == dict.fromkeys(others, -2.5)


def test_memory_that_is_short_is_no_metric_that_cannot_be_computed() -> None:
    target = LABELS["two classes"].target
    data = TabularData(features=FEATURES, target=target, numeric=("a",), categorical=())
    estimator = Foreseen(predicted=MemoryError())
    for names in (["accuracy"], ["accuracy", "f1_macro"]):
        scorer = scorer_of(names, DummyClassifier(), data)
        for each in (scorer, training_scorer_of(scorer)):
            with pytest.raises(MemoryError):
                each(estimator, FEATURES, target)
