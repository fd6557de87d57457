"""The table of metrics against scikit-learn itself."""

from __future__ import annotations

import inspect
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.naive_bayes import GaussianNB

from services.core.encoding import FloatArray
from services.core.errors import InvalidRequest
from services.core.metrics import (
    METRICS,
    check_metrics,
    default_metric,
    default_metrics,
    known_metrics,
    metric_problem,
    positive_label,
)
from services.core.objective import Task

_LABELS: dict[str, list[str] | list[int] | list[bool]] = {
    "numbers": [0, 1],
    "booleans": [False, True],
    "others": [1, 2],
    "words": ["no", "yes"],
    "three": [0, 1, 2],
    "three words": ["a", "b", "c"],
}


def test_every_metric_is_a_scorer_of_scikit_learn() -> None:
    assert set(METRICS) <= set(get_scorer_names())


@cache
def _fitted(kind: str, *, probabilities: bool) -> tuple[Any, FloatArray, Any]:
    labels = _LABELS[kind]
    features, codes = make_classification(
        n_samples=80,
        n_features=6,
        n_informative=4,
        n_classes=len(labels),
        n_clusters_per_class=1,
        random_state=1,
    )
    target = np.array(labels)[codes]
    model = GaussianNB() if probabilities else RidgeClassifier()
    return model.fit(features, target), features, target


def _works(name: str, kind: str, *, probabilities: bool) -> bool:
    model, features, target = _fitted(kind, probabilities=probabilities)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(np.isfinite(get_scorer(name)(model, features, target)))
        except (ValueError, AttributeError):
            return False


@pytest.mark.parametrize("kind", _LABELS)
@pytest.mark.parametrize("probabilities", [True, False])
def test_metrics_are_refused_exactly_when_scikit_learn_cannot_score(
    kind: str, probabilities: bool
) -> None:
    labels = [str(each) for each in _LABELS[kind]]
    allowed, working = set(), set()
    for name in known_metrics(Task.CLASSIFICATION):
        problem = metric_problem(
            name, task=Task.CLASSIFICATION, labels=labels, probabilities=probabilities
        )
        if problem is None:
            allowed.add(name)
        # With two classes scikit-learn scores a top-2 accuracy too: it is always 1.
        pointless = name == "top_k_accuracy" and len(labels) == 2
        if not pointless and _works(name, kind, probabilities=probabilities):
            working.add(name)
    assert allowed == working


@pytest.mark.parametrize("name", known_metrics(Task.REGRESSION))
def test_a_regression_metric_scores_positive_targets(name: str) -> None:
    features, target = make_regression(n_samples=60, n_features=3, random_state=0)
    target = target + 1000.0
    model = Ridge().fit(features, target)
    assert np.isfinite(get_scorer(name)(model, features, target))
    assert metric_problem(name, task=Task.REGRESSION) is None
    assert get_scorer(name)(model, features, target) <= METRICS[name].best


@pytest.mark.parametrize(
    ("labels", "metrics"),
    [
        (["0", "1"], ("accuracy", "precision", "recall", "f1")),
        (["False", "True"], ("accuracy", "precision", "recall", "f1")),
        (
            ["no", "yes"],
            ("accuracy", "precision_weighted", "recall_weighted", "f1_weighted"),
        ),
        (
            ["0", "1", "2"],
            ("accuracy", "precision_weighted", "recall_weighted", "f1_weighted"),
        ),
    ],
)
def test_default_metrics_suit_the_classes(labels: list[str], metrics: tuple[str, ...]) -> None:
    assert default_metrics(Task.CLASSIFICATION, labels) == metrics
    assert all(
        metric_problem(each, task=Task.CLASSIFICATION, labels=labels) is None for each in metrics
    )


def test_defaults_without_classes() -> None:
    assert default_metric(Task.CLASSIFICATION) == "accuracy"
    assert default_metric(Task.REGRESSION) == "r2"
    assert default_metrics(Task.REGRESSION) == (
        "r2",
        "neg_mean_squared_error",
        "neg_mean_absolute_error",
    )


def test_refusals_name_what_to_use() -> None:
    three, words = ["0", "1", "2"], ["no", "yes"]
    texts = {
        name: metric_problem(name, task=Task.CLASSIFICATION, labels=three) or ""
        for name in ("f1", "precision", "recall", "roc_auc", "r2", "acuracy")
    }
    assert "f1_weighted" in texts["f1"]
    assert "precision_weighted" in texts["precision"]
    assert "recall_weighted" in texts["recall"]
    assert "roc_auc_ovr" in texts["roc_auc"]
    assert "scores a regression" in texts["r2"]
    assert "known: accuracy," in texts["r2"]
    assert 'did you mean "accuracy"?' in texts["acuracy"]
    refused = metric_problem("f1", task=Task.CLASSIFICATION, labels=words) or ""
    assert '"no" and "yes" do not say; use f1_weighted' in refused
    assert "classification" in (metric_problem("accuracy", task=Task.REGRESSION) or "")


def test_every_bad_metric_of_a_list_is_named_by_place() -> None:
    with pytest.raises(InvalidRequest) as raised:
        check_metrics(
            ["accuracy", "r2", "accuracy", "nope"], field="metrics", task=Task.CLASSIFICATION
        )
    assert [each.field for each in raised.value.violations] == [
        "metrics[1]",
        "metrics[2]",
        "metrics[3]",
    ]
    assert raised.value.violations[1].description == '"accuracy" repeats the metric at [0]'


@pytest.mark.parametrize("name", METRICS)
def test_metrics_that_take_weights_are_known(name: str) -> None:
    parameters = inspect.signature(get_scorer(name)._score_func).parameters
    assert METRICS[name].weights == ("sample_weight" in parameters)


def test_a_positive_label_makes_metrics_of_two_classes_usable() -> None:
    words = ["no", "yes"]
    for name in known_metrics(Task.CLASSIFICATION):
        if METRICS[name].text_labels:
            assert metric_problem(name, task=Task.CLASSIFICATION, labels=words)
            assert not metric_problem(
                name, task=Task.CLASSIFICATION, labels=words, declared_positive="no"
            )
    assert default_metrics(Task.CLASSIFICATION, words, declared_positive="yes") == (
        "accuracy",
        "precision",
        "recall",
        "f1",
    )


@pytest.mark.parametrize(
    ("labels", "declared", "positive"),
    [
        (["0", "1"], "", "1"),
        (["0", "1"], "0", "0"),
        (["False", "True"], "", "True"),
        (["1", "true"], "", "1"),
        (["no", "yes"], "", ""),
        (["no", "yes"], "no", "no"),
    ],
)
def test_the_positive_label_is_the_declared_one_else_what_says_so(
    labels: list[str], declared: str, positive: str
) -> None:
    assert positive_label(labels, declared) == positive
