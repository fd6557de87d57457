"""What each family of models tries by default: one table a family, most important parameters first.

Columns: conservative, default, aggressive; None where a size leaves a parameter as the library has it.
Ranges grow from left to right. XGBoost's are the product's own; the others follow what the libraries'
guides and AutoML systems (auto-sklearn, FLAML, AutoGluon) search, in the same three steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from services.core.spread import Spread, choose, exactly, floats, ints

Table: TypeAlias = Mapping[str, tuple[Spread | None, Spread | None, Spread | None]]

_LEARNING_RATE = (
    floats(0.05, 0.15, log=True),
    floats(0.01, 0.2, log=True),
    floats(0.001, 0.3, log=True),
)
_SAMPLED = (floats(0.7, 0.9), floats(0.6, 0.9), floats(0.5, 1.0))
_ROUNDS = (exactly(20), exactly(200), ints(100, 299))
_STOP = (exactly(5), None, None)
_WEIGHTED = choose(None, "balanced")
_PENALTY = (
    floats(0.1, 10.0, log=True),
    floats(0.01, 100.0, log=True),
    floats(0.0001, 10_000.0, log=True),
)
_SHRINKAGE = (
    floats(0.01, 1.0, log=True),
    floats(0.001, 10.0, log=True),
    floats(0.00001, 100.0, log=True),
)

FOREST: Final[Table] = {
    "n_estimators": (ints(50, 100), ints(50, 300), ints(50, 1000, log=True)),
    "max_depth": (ints(4, 12), ints(3, 20, beside=[None]), ints(2, 40, beside=[None])),
    "max_features": (None, floats(0.2, 1.0, beside=["sqrt"]), floats(0.1, 1.0, beside=["sqrt"])),
    "min_samples_leaf": (ints(1, 4), ints(1, 10), ints(1, 20)),
    "min_samples_split": (None, None, ints(2, 20)),
    "bootstrap": (None, None, choose(True, False)),
}
DECISION_TREE: Final[Table] = {
    "max_depth": (ints(3, 8), ints(2, 15, beside=[None]), ints(1, 30, beside=[None])),
    "min_samples_leaf": (ints(2, 10), ints(1, 20), ints(1, 50)),
    "min_samples_split": (None, ints(2, 20), ints(2, 50)),
    "ccp_alpha": (None, None, floats(0.000001, 0.05, log=True, beside=[0.0])),
}
GRADIENT_BOOSTING: Final[Table] = {
    "learning_rate": _LEARNING_RATE,
    "n_estimators": (ints(50, 100), ints(50, 200), ints(50, 400)),
    "max_depth": (ints(2, 4), ints(2, 6), ints(1, 10)),
    "subsample": _SAMPLED,
    "min_samples_leaf": (None, ints(1, 10), ints(1, 30)),
    "max_features": (None, None, floats(0.3, 1.0)),
}
HIST_GRADIENT_BOOSTING: Final[Table] = {
    "learning_rate": _LEARNING_RATE,
    "max_leaf_nodes": (ints(15, 31), ints(8, 64, log=True), ints(4, 255, log=True)),
    "max_iter": (ints(50, 100), ints(50, 200), ints(50, 500, log=True)),
    "min_samples_leaf": (ints(15, 30), ints(10, 50), ints(2, 100, log=True)),
    "l2_regularization": (
        None,
        floats(0.001, 10.0, log=True, beside=[0.0]),
        floats(0.000001, 100.0, log=True, beside=[0.0]),
    ),
    "max_features": (None, None, floats(0.5, 1.0)),
}
XGBOOST: Final[Table] = {
    "learning_rate": _LEARNING_RATE,
    "max_depth": (ints(4, 7), ints(4, 10), ints(3, 11)),
    "n_estimators": _ROUNDS,
    "early_stopping_rounds": _STOP,
    "subsample": _SAMPLED,
    "colsample_bytree": _SAMPLED,
    "reg_lambda": (floats(1.0, 3.0), floats(1.0, 4.0), floats(0.1, 5.0)),
    "reg_alpha": (floats(0.0, 2.0), floats(0.0, 3.0), floats(0.0, 5.0)),
    "min_child_weight": (None, None, floats(1.0, 10.0)),
    "gamma": (None, None, floats(0.0, 1.0)),
    "colsample_bylevel": (None, None, floats(0.5, 1.0)),
}
LIGHTGBM: Final[Table] = {
    "learning_rate": _LEARNING_RATE,
    "num_leaves": (ints(15, 31), ints(8, 64, log=True), ints(4, 255, log=True)),
    "n_estimators": _ROUNDS,
    "early_stopping_rounds": _STOP,
    "min_child_samples": (ints(10, 30), ints(5, 50), ints(2, 100, log=True)),
    "subsample": _SAMPLED,
    # Without a frequency LightGBM draws no samples, whatever their share.
    "subsample_freq": (exactly(1), exactly(1), exactly(1)),
    "colsample_bytree": _SAMPLED,
    "reg_lambda": (floats(0.0, 1.0), floats(0.0, 4.0), floats(0.0, 10.0)),
    "reg_alpha": (None, floats(0.0, 3.0), floats(0.0, 5.0)),
    "min_split_gain": (None, None, floats(0.0, 1.0)),
}

SVM_CLASSIFIER: Final[Table] = {
    "C": (
        floats(0.5, 10.0, log=True),
        floats(0.1, 100.0, log=True),
        floats(0.001, 1000.0, log=True),
    ),
    "gamma": (
        floats(0.001, 0.1, log=True, beside=["scale"]),
        floats(0.0001, 1.0, log=True, beside=["scale"]),
        floats(0.000001, 10.0, log=True, beside=["scale"]),
    ),
    "class_weight": (None, None, _WEIGHTED),
    "kernel": (None, None, choose("rbf", "sigmoid")),
}
SVM_REGRESSOR: Final[Table] = {
    "C": SVM_CLASSIFIER["C"],
    "gamma": SVM_CLASSIFIER["gamma"],
    "epsilon": (
        floats(0.05, 0.2, log=True),
        floats(0.01, 1.0, log=True),
        floats(0.001, 1.0, log=True),
    ),
}
K_NEIGHBORS: Final[Table] = {
    "n_neighbors": (ints(3, 11), ints(1, 30), ints(1, 60)),
    "weights": (choose("uniform", "distance"),) * 3,
    "p": (None, choose(2.0, 1.0), choose(2.0, 1.0, 1.5, 3.0)),
}
MLP: Final[Table] = {
    "hidden_layer_sizes": (
        choose((100,), (50,)),
        choose((100,), (50,), (50, 50), (100, 50)),
        choose((100,), (50,), (50, 50), (100, 50), (200,), (100, 100), (100, 50, 25)),
    ),
    "learning_rate_init": (
        floats(0.0005, 0.005, log=True),
        floats(0.0001, 0.01, log=True),
        floats(0.00001, 0.1, log=True),
    ),
    "alpha": (
        floats(0.0001, 0.001, log=True),
        floats(0.00001, 0.01, log=True),
        floats(0.000001, 0.1, log=True),
    ),
    "activation": (None, None, choose("relu", "tanh")),
}

LOGISTIC_REGRESSION: Final[Table] = {
    "C": _PENALTY,
    "class_weight": (None, _WEIGHTED, _WEIGHTED),
    "fit_intercept": (None, None, choose(True, False)),
}
RIDGE_CLASSIFIER: Final[Table] = {
    "alpha": _PENALTY,
    "class_weight": (None, _WEIGHTED, _WEIGHTED),
    "fit_intercept": (None, None, choose(True, False)),
}
RIDGE: Final[Table] = {
    "alpha": _PENALTY,
    "fit_intercept": (None, None, choose(True, False)),
}
ELASTIC_NET: Final[Table] = {
    "alpha": _SHRINKAGE,
    "l1_ratio": (floats(0.2, 0.8), floats(0.1, 0.9), floats(0.01, 1.0)),
    "fit_intercept": (None, None, choose(True, False)),
}
LASSO: Final[Table] = {
    "alpha": _SHRINKAGE,
    "fit_intercept": (None, None, choose(True, False)),
}
GAUSSIAN_NB: Final[Table] = {
    "var_smoothing": (
        floats(1e-10, 1e-8, log=True),
        floats(1e-11, 1e-5, log=True),
        floats(1e-12, 0.1, log=True),
    ),
}
# All there is to choose.
LINEAR_REGRESSION: Final[Table] = {
    "fit_intercept": (choose(True, False),) * 3,
    "positive": (None, choose(False, True), choose(False, True)),
}
