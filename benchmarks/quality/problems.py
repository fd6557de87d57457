"""Real problems: models on scikit-learn's own data, each with the grid that spans its search space.

A quarter of the rows is kept back and never seen by a search. Half of the problems is for looking at
while a searcher is being changed (TUNING), the other half (HELD_OUT) for judging the change.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import ElasticNet
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from services.core.space import Assignment, Grid, Parameter, SearchSpace, Value

TUNING: Final = "tuning"
HELD_OUT: Final = "held-out"

_FOLDS = 5
_TEST_SHARE = 0.25
_SPLIT_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One model on one dataset; the score is accuracy or r2, higher is better.

    Attributes:
        grid: at most 16 points; the other methods search the ranges it spans.
    """

    name: str
    half: str
    data: Callable[..., Any]
    estimator: Callable[..., Any]
    grid: dict[str, tuple[Value, ...]]
    scaled: bool = False

    @property
    def space(self) -> SearchSpace:
        """The grid as a space."""
        return SearchSpace.of(
            Parameter(name=name, domain=Grid(values=values)) for name, values in self.grid.items()
        )

    def cv_score(self, parameters: Assignment) -> float:
        """The mean score over 5 unshuffled folds of the training rows."""
        train, _, target, _ = _rows(self.data)
        with warnings.catch_warnings():
            # An iteration limit that is reached is part of what a point scores.
            warnings.simplefilter("ignore")
            scores = cross_val_score(self._made(parameters), train, target, cv=_FOLDS)
        return float(np.mean(scores))

    def test_score(self, parameters: Assignment) -> float:
        """The score on the rows kept back, of the model fitted on all training rows."""
        train, test, target, test_target = _rows(self.data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(self._made(parameters).fit(train, target).score(test, test_target))

    def _made(self, parameters: Assignment) -> Any:
        model = self.estimator(**parameters)
        return make_pipeline(StandardScaler(), model) if self.scaled else model


@cache
def _rows(data: Callable[..., Any]) -> tuple[Any, Any, Any, Any]:
    features, target = data(return_X_y=True)
    classes = target if np.issubdtype(target.dtype, np.integer) else None
    train, test, train_target, test_target = train_test_split(
        features, target, test_size=_TEST_SHARE, random_state=_SPLIT_SEED, stratify=classes
    )
    return train, test, train_target, test_target


def _tree(**parameters: Any) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(random_state=0, **parameters)


def _forest(**parameters: Any) -> RandomForestClassifier:
    return RandomForestClassifier(random_state=0, n_estimators=30, **parameters)


_KERNEL: dict[str, tuple[Value, ...]] = {
    "C": (0.01, 1.0, 100.0, 1000.0),
    "gamma": (1e-5, 1e-3, 0.1, 1.0),
}
_TREE: dict[str, tuple[Value, ...]] = {
    "max_depth": (2, 20),
    "min_samples_leaf": (1, 20),
    "min_samples_split": (2, 40),
    "criterion": ("gini", "entropy"),
}
_NEIGHBOURS: dict[str, tuple[Value, ...]] = {
    "n_neighbors": (1, 10, 40),
    "weights": ("uniform", "distance"),
    "p": (1.0, 4.0),
}

PROBLEMS: Final = (
    Problem(
        name="svc, breast_cancer",
        half=TUNING,
        data=load_breast_cancer,
        estimator=SVC,
        grid=_KERNEL,
        scaled=True,
    ),
    Problem(
        name="tree, digits",
        half=TUNING,
        data=load_digits,
        estimator=_tree,
        grid=_TREE,
    ),
    Problem(
        name="elastic net, diabetes",
        half=TUNING,
        data=load_diabetes,
        estimator=ElasticNet,
        grid={"alpha": (1e-4, 1e-2, 1.0, 10.0), "l1_ratio": (0.05, 0.35, 0.7, 1.0)},
        scaled=True,
    ),
    Problem(
        name="neighbours, wine",
        half=TUNING,
        data=load_wine,
        estimator=KNeighborsClassifier,
        grid=_NEIGHBOURS,
        scaled=True,
    ),
    Problem(
        name="svc, wine",
        half=HELD_OUT,
        data=load_wine,
        estimator=SVC,
        grid=_KERNEL,
        scaled=True,
    ),
    Problem(
        name="tree, breast_cancer",
        half=HELD_OUT,
        data=load_breast_cancer,
        estimator=_tree,
        grid=_TREE,
    ),
    Problem(
        name="svr, diabetes",
        half=HELD_OUT,
        data=load_diabetes,
        estimator=SVR,
        grid={"C": (0.1, 1000.0), "gamma": (1e-4, 0.01, 1.0), "epsilon": (1.0, 50.0)},
        scaled=True,
    ),
    Problem(
        name="forest, wine",
        half=HELD_OUT,
        data=load_wine,
        estimator=_forest,
        grid={"max_depth": (2, 12), "max_features": (0.1, 1.0), "min_samples_leaf": (1, 12)},
    ),
)
