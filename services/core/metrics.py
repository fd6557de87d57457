"""Metrics: the scikit-learn scorers a task allows, what each needs, and what is picked by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.core.naming import unknown_name
from services.core.objective import Task
from services.core.violations import Violations

# Classes as text that scikit-learn's scorers recognise as positive without being told.
_POSITIVE_LABELS = frozenset({"1", "true"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One scorer, by scikit-learn's name; higher is better for all.

    Attributes:
        best: the best score there can be.
        multiclass: what to use instead on more than two classes; empty when it works there too.
        text_labels: what to use instead when neither of two classes is 1 or true, so that the
            positive one is unknown; empty when the metric does not care.
        probabilities: needs `predict_proba`.
        classes: lowest number of classes it makes sense for.
    """

    name: str
    task: Task
    best: float
    multiclass: str = ""
    text_labels: str = ""
    probabilities: bool = False
    classes: int = 2


def _class_metric(
    name: str,
    *,
    multiclass: str = "",
    text_labels: str = "",
    probabilities: bool = False,
    classes: int = 2,
) -> Metric:
    return Metric(
        name=name,
        task=Task.CLASSIFICATION,
        best=0.0 if name.startswith("neg_") else 1.0,
        multiclass=multiclass,
        text_labels=text_labels,
        probabilities=probabilities,
        classes=classes,
    )


def _number_metric(name: str) -> Metric:
    return Metric(name=name, task=Task.REGRESSION, best=0.0 if name.startswith("neg_") else 1.0)


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
    _class_metric("matthews_corrcoef"),
    _class_metric("roc_auc", multiclass="roc_auc_ovr"),
    _class_metric("roc_auc_ovr", probabilities=True),
    _class_metric("roc_auc_ovo", probabilities=True),
    _class_metric("roc_auc_ovr_weighted", probabilities=True),
    _class_metric("roc_auc_ovo_weighted", probabilities=True),
    _class_metric("average_precision", text_labels="roc_auc"),
    _class_metric("neg_log_loss", probabilities=True),
    _class_metric("neg_brier_score", text_labels="neg_log_loss", probabilities=True),
    _class_metric("d2_log_loss_score", probabilities=True),
    _class_metric("d2_brier_score", text_labels="d2_log_loss_score", probabilities=True),
    _number_metric("r2"),
    _number_metric("explained_variance"),
    _number_metric("d2_absolute_error_score"),
    _number_metric("neg_max_error"),
    _number_metric("neg_mean_absolute_error"),
    _number_metric("neg_mean_absolute_percentage_error"),
    _number_metric("neg_mean_gamma_deviance"),
    _number_metric("neg_mean_poisson_deviance"),
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


def default_metrics(task: Task, labels: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the metrics of a cross-validation when none are asked for.

    Args:
        labels: the classes as text; their weighted averages are taken when they are more than two
            or do not say which one is positive.
    """
    if task is Task.REGRESSION:
        return ("r2", "neg_mean_squared_error", "neg_mean_absolute_error")
    if len(labels) == 2 and _has_positive_label(labels):
        return ("accuracy", "precision", "recall", "f1")
    return ("accuracy", "precision_weighted", "recall_weighted", "f1_weighted")


def metric_problem(
    name: str, *, task: Task, labels: Sequence[str] = (), probabilities: bool = True
) -> str | None:
    """Says why a metric cannot score a task; None when it can.

    Args:
        labels: the classes of a classification as text.
        probabilities: whether the model type has `predict_proba`.
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
    if metric.text_labels and len(labels) == 2 and not _has_positive_label(labels):
        listed = " and ".join(f'"{each}"' for each in labels)
        return (
            f'"{name}" needs to know the positive class, and {listed} do not say; '
            f"use {metric.text_labels}"
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


def _has_positive_label(labels: Sequence[str]) -> bool:
    return any(each.lower() in _POSITIVE_LABELS for each in labels)
