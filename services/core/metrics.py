"""Metrics: the scikit-learn scorers a task allows, what each needs, and what is picked by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.core.naming import unknown_name
from services.core.objective import Task
from services.core.violations import Violations

# Classes as text that are positive without being told.
_POSITIVE_LABELS = ("1", "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One scorer, by scikit-learn's name; higher is better for all.

    Attributes:
        best: the best score there can be.
        rounding: by how much rounding may bring a score above it; None where that grows with the data.
        weights: takes sample weights.
        multiclass: what to use instead on more than two classes; empty when it works there too.
        text_labels: what to use instead when neither of two classes is 1 or true, so that the
            positive one is unknown; empty when the metric does not care.
        probabilities: needs `predict_proba`.
        classes: lowest number of classes it makes sense for.
    """

    name: str
    task: Task
    best: float
    weights: bool = True
    multiclass: str = ""
    text_labels: str = ""
    probabilities: bool = False
    classes: int = 2
    rounding: float | None = 0.0


def _class_metric(
    name: str,
    *,
    multiclass: str = "",
    text_labels: str = "",
    probabilities: bool = False,
    classes: int = 2,
    rounding: float = 0.0,
) -> Metric:
    return Metric(
        name=name,
        task=Task.CLASSIFICATION,
        best=0.0 if name.startswith("neg_") else 1.0,
        multiclass=multiclass,
        text_labels=text_labels,
        probabilities=probabilities,
        classes=classes,
        rounding=rounding,
    )


def _number_metric(name: str, *, rounding: float | None = 0.0, weights: bool = True) -> Metric:
    best = 0.0 if name.startswith("neg_") else 1.0
    return Metric(name=name, task=Task.REGRESSION, best=best, rounding=rounding, weights=weights)


# Areas and correlations are sums of rounded terms: a perfect one may come to 1.0000000000000002.
_SUMMED: Final = 1e-9

_TABLE: Final = (
    _class_metric("accuracy"),
    _class_metric("balanced_accuracy"),
    _class_metric("top_k_accuracy", classes=3),
    _class_metric("f1", multiclass="f1_weighted", text_labels="f1_weighted"),
    _class_metric("f1_macro"),
    _class_metric("f1_micro"),
    _class_metric("f1_weighted"),
    _class_metric("precision", multiclass="precision_weighted", text_labels="precision_weighted"),
    _class_metric("precision_macro"),
    _class_metric("precision_micro"),
    _class_metric("precision_weighted"),
    _class_metric("recall", multiclass="recall_weighted", text_labels="recall_weighted"),
    _class_metric("recall_macro"),
    _class_metric("recall_micro"),
    _class_metric("recall_weighted"),
    _class_metric("jaccard", multiclass="jaccard_weighted", text_labels="jaccard_weighted"),
    _class_metric("jaccard_macro"),
    _class_metric("jaccard_micro"),
    _class_metric("jaccard_weighted"),
    _class_metric("matthews_corrcoef", rounding=_SUMMED),
    _class_metric("roc_auc", multiclass="roc_auc_ovr", rounding=_SUMMED),
    _class_metric("roc_auc_ovr", probabilities=True, rounding=_SUMMED),
    _class_metric("roc_auc_ovo", probabilities=True, rounding=_SUMMED),
    _class_metric("roc_auc_ovr_weighted", probabilities=True, rounding=_SUMMED),
    _class_metric("roc_auc_ovo_weighted", probabilities=True, rounding=_SUMMED),
    _class_metric("average_precision", text_labels="roc_auc", rounding=_SUMMED),
    _class_metric("neg_log_loss", probabilities=True, rounding=_SUMMED),
    _class_metric("neg_brier_score", text_labels="neg_log_loss", probabilities=True),
    _class_metric("d2_log_loss_score", probabilities=True, rounding=_SUMMED),
    _class_metric("d2_brier_score", text_labels="d2_log_loss_score", probabilities=True),
    _number_metric("r2"),
    _number_metric("explained_variance"),
    _number_metric("d2_absolute_error_score"),
    _number_metric("neg_max_error", weights=False),
    _number_metric("neg_mean_absolute_error"),
    _number_metric("neg_mean_absolute_percentage_error"),
    _number_metric("neg_mean_gamma_deviance", rounding=None),
    _number_metric("neg_mean_poisson_deviance", rounding=None),
    _number_metric("neg_mean_squared_error"),
    _number_metric("neg_mean_squared_log_error"),
    _number_metric("neg_median_absolute_error"),
    _number_metric("neg_root_mean_squared_error"),
    _number_metric("neg_root_mean_squared_log_error"),
)

METRICS: Final[Mapping[str, Metric]] = MappingProxyType({each.name: each for each in _TABLE})
"""Every metric by name."""


def known_metrics(task: Task) -> tuple[str, ...]:
    """Returns the names of a task's metrics."""
    return tuple(each.name for each in _TABLE if each.task is task)


def default_metric(task: Task) -> str:
    """Returns the objective when none is asked for."""
    return "accuracy" if task is Task.CLASSIFICATION else "r2"


def positive_label(labels: Sequence[str], declared: str = "") -> str:
    """Gives the positive one of two classes as text; empty where nothing says which it is.

    Args:
        labels: the classes as text.
        declared: the dataset's positive label; empty without one.
    """
    if declared:
        return declared
    for known in _POSITIVE_LABELS:
        for label in labels:
            if label.lower() == known:
                return label
    return ""


def default_metrics(
    task: Task, labels: Sequence[str] = (), *, declared_positive: str = ""
) -> tuple[str, ...]:
    """Returns the metrics of a cross-validation when none are asked for.

    Args:
        labels: the classes as text; their weighted averages are taken when they are more than two
            or nothing says which one is positive.
        declared_positive: the dataset's positive label; empty without one.
    """
    if task is Task.REGRESSION:
        return ("r2", "neg_mean_squared_error", "neg_mean_absolute_error")
    if len(labels) == 2 and positive_label(labels, declared_positive):
        return ("accuracy", "precision", "recall", "f1")
    return ("accuracy", "precision_weighted", "recall_weighted", "f1_weighted")


def metric_problem(
    name: str,
    *,
    task: Task,
    labels: Sequence[str] = (),
    probabilities: bool = True,
    declared_positive: str = "",
) -> str | None:
    """Says why a metric cannot score a task; None when it can.

    Args:
        labels: the classes of a classification as text.
        probabilities: whether the model type has `predict_proba`.
        declared_positive: the dataset's positive label; empty without one.
    """
    metric = METRICS.get(name)
    if metric is None:
        return unknown_name(f"metric for {task.value}", name, known_metrics(task))
    if metric.task is not task:
        return (
            f'"{name}" scores a {metric.task.value}, and this is a {task.value}; known: '
            f"{', '.join(known_metrics(task))}"
        )
    if metric.multiclass and len(labels) > 2:
        return f'"{name}" needs two classes, and there are {len(labels)}; use {metric.multiclass}'
    if labels and len(labels) < metric.classes:
        return (
            f'"{name}" needs at least {metric.classes} classes, and there are {len(labels)}; '
            f"use {default_metric(task)}"
        )
    known_positive = positive_label(labels, declared_positive)
    if metric.text_labels and len(labels) == 2 and not known_positive:
        listed = " and ".join(f'"{each}"' for each in labels)
        return (
            f'"{name}" needs to know the positive class, and {listed} do not say; '
            f"use {metric.text_labels}, or upload the dataset with a positive label"
        )
    if metric.probabilities and not probabilities:
        other = "roc_auc" if len(labels) == 2 else default_metric(task)
        return f'"{name}" needs class probabilities, which this model type has not; use {other}'
    return None


def check_metrics(
    names: Sequence[str],
    *,
    field: str,
    task: Task,
    labels: Sequence[str] = (),
    probabilities: bool = True,
) -> None:
    """Checks a request's list of metrics.

    Raises: InvalidRequest: a metric cannot be used or repeats; every one is listed, by path.
    """
    found = Violations()
    for place, name in enumerate(names):
        problem = metric_problem(name, task=task, labels=labels, probabilities=probabilities)
        if problem is None and name in names[:place]:
            problem = f'"{name}" repeats the metric at [{names.index(name)}]'
        if problem is not None:
            found.add(f"{field}[{place}]", problem)
    found.raise_if_any()


def score_ceiling(name: str) -> float | None:
    """Returns the highest score a metric can compute, rounding included; None where none is known.

    Unknown metrics have none either: what might score higher must not be stopped for being unable to.
    """
    metric = METRICS.get(name)
    if metric is None or metric.rounding is None:
        return None
    return metric.best + metric.rounding
