"""What the estimators' families have in common: schemas, blocked parameters and default grids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from services.core.limits import MAX_RANDOM_STATE
from services.core.parameter_schema import Floats, Ints, ParameterSchema, Tuples
from services.core.space import Value

Schemas: TypeAlias = Mapping[str, ParameterSchema]
Values: TypeAlias = Mapping[str, tuple[Value, ...]]


def ints_from(low: int, *, nullable: bool = False) -> ParameterSchema:
    """Takes whole numbers from `low` on."""
    return ParameterSchema(ints=Ints(low=low), nullable=nullable)


def floats_above(low: float) -> ParameterSchema:
    """Takes floats above `low`."""
    return ParameterSchema(floats=Floats(low=low, low_open=True))


def floats_between(low: float, high: float, *, high_open: bool = False) -> ParameterSchema:
    """Takes floats from `low` to `high`."""
    return ParameterSchema(floats=Floats(low=low, high=high, high_open=high_open))


def one_of(*strings: str, nullable: bool = False) -> ParameterSchema:
    """Takes one of some strings."""
    return ParameterSchema(strings=strings, nullable=nullable)


BOOLEAN = ParameterSchema(booleans=True)
NOT_NEGATIVE = ParameterSchema(floats=Floats(low=0.0))
FRACTION = Floats(low=0.0, high=1.0, low_open=True)
OPEN_FRACTION = Floats(low=0.0, high=1.0, low_open=True, high_open=True)
BALANCED = one_of("balanced", nullable=True)
SEED: Schemas = {
    "random_state": ParameterSchema(ints=Ints(low=0, high=MAX_RANDOM_STATE), nullable=True)
}

# --- Trees --------------------------------------------------------------------------------------

TREE: Schemas = {
    "max_depth": ints_from(1, nullable=True),
    "min_samples_split": ParameterSchema(ints=Ints(low=2), floats=FRACTION),
    "min_samples_leaf": ParameterSchema(ints=Ints(low=1), floats=OPEN_FRACTION),
    "min_weight_fraction_leaf": floats_between(0.0, 0.5),
    "max_features": ParameterSchema(
        ints=Ints(low=1), floats=FRACTION, strings=("sqrt", "log2"), nullable=True
    ),
    "max_leaf_nodes": ints_from(2, nullable=True),
    "min_impurity_decrease": NOT_NEGATIVE,
    "ccp_alpha": NOT_NEGATIVE,
    **SEED,
}
CLASS_CRITERION: Schemas = {"criterion": one_of("gini", "entropy", "log_loss")}
NUMBER_CRITERION: Schemas = {"criterion": one_of("squared_error", "absolute_error", "poisson")}

FOREST: Schemas = {
    **TREE,
    "n_estimators": ints_from(1),
    "bootstrap": BOOLEAN,
    "max_samples": ParameterSchema(
        ints=Ints(low=1), floats=Floats(low=0.0, low_open=True), nullable=True
    ),
}
FOREST_CLASSIFIER: Schemas = {
    **FOREST,
    **CLASS_CRITERION,
    "class_weight": one_of("balanced", "balanced_subsample", nullable=True),
}
FOREST_REGRESSOR: Schemas = {**FOREST, **NUMBER_CRITERION}
FOREST_BLOCKED = ("n_jobs", "verbose", "warm_start", "oob_score", "monotonic_cst")
FOREST_GRID: Values = {
    "n_estimators": (50, 100, 200),
    "max_depth": (5, 10, None),
    "min_samples_leaf": (1, 2, 4),
}

DECISION_TREE: Schemas = {**TREE, "splitter": one_of("best", "random")}

GRADIENT_BOOSTING: Schemas = {
    **TREE,
    "learning_rate": NOT_NEGATIVE,
    "n_estimators": ints_from(1),
    "subsample": ParameterSchema(floats=FRACTION),
    "init": one_of("zero", nullable=True),
    "validation_fraction": ParameterSchema(floats=OPEN_FRACTION),
    "n_iter_no_change": ints_from(1, nullable=True),
    "tol": NOT_NEGATIVE,
}
GRADIENT_BOOSTING_BLOCKED = ("criterion", "verbose", "warm_start")
GRADIENT_BOOSTING_GRID: Values = {
    "n_estimators": (50, 100, 200),
    "learning_rate": (0.05, 0.1, 0.2),
    "max_depth": (2, 3, 5),
}

HIST_GRADIENT_BOOSTING: Schemas = {
    "learning_rate": floats_above(0.0),
    "max_iter": ints_from(1),
    "max_leaf_nodes": ints_from(2, nullable=True),
    "max_depth": ints_from(1, nullable=True),
    "min_samples_leaf": ints_from(1),
    "l2_regularization": NOT_NEGATIVE,
    "max_features": ParameterSchema(floats=FRACTION),
    "max_bins": ParameterSchema(ints=Ints(low=2, high=255)),
    "interaction_cst": one_of("pairwise", "no_interactions", nullable=True),
    "early_stopping": ParameterSchema(booleans=True, strings=("auto",)),
    "scoring": one_of("loss", nullable=True),
    "validation_fraction": ParameterSchema(ints=Ints(low=1), floats=OPEN_FRACTION, nullable=True),
    "n_iter_no_change": ints_from(1),
    "tol": NOT_NEGATIVE,
    **SEED,
}
HIST_GRADIENT_BOOSTING_BLOCKED = (
    "categorical_features",
    "monotonic_cst",
    "verbose",
    "warm_start",
)
HIST_GRADIENT_BOOSTING_GRID: Values = {
    "learning_rate": (0.05, 0.1, 0.2),
    "max_leaf_nodes": (15, 31, 63),
    "l2_regularization": (0.0, 1.0),
}

# --- Support vectors, neighbours, networks ------------------------------------------------------

SVM: Schemas = {
    "C": floats_above(0.0),
    "kernel": one_of("linear", "poly", "rbf", "sigmoid"),
    "degree": ints_from(0),
    "gamma": ParameterSchema(floats=Floats(low=0.0), strings=("scale", "auto")),
    "coef0": ParameterSchema(floats=Floats()),
    "shrinking": BOOLEAN,
    "tol": floats_above(0.0),
    "max_iter": ints_from(-1),
}

K_NEIGHBORS: Schemas = {
    "n_neighbors": ints_from(1),
    "weights": one_of("uniform", "distance", nullable=True),
    "algorithm": one_of("auto", "ball_tree", "kd_tree", "brute"),
    "leaf_size": ints_from(1),
    "p": floats_above(0.0),
    "metric": one_of(
        "minkowski",
        "euclidean",
        "manhattan",
        "chebyshev",
        "cosine",
        "canberra",
        "braycurtis",
        "correlation",
        "sqeuclidean",
        "hamming",
        "nan_euclidean",
    ),
}
K_NEIGHBORS_BLOCKED = ("metric_params", "n_jobs")
K_NEIGHBORS_GRID: Values = {
    "n_neighbors": (3, 5, 7, 11, 15),
    "weights": ("uniform", "distance"),
    "p": (1.0, 2.0),
}

# Wider layers than this fill a machine's memory before they fit anything.
LAYER = Ints(low=1, high=100_000)
MLP: Schemas = {
    "hidden_layer_sizes": ParameterSchema(ints=LAYER, tuples=Tuples(items=LAYER)),
    "activation": one_of("identity", "logistic", "tanh", "relu"),
    "solver": one_of("lbfgs", "sgd", "adam"),
    "alpha": NOT_NEGATIVE,
    "batch_size": ParameterSchema(ints=Ints(low=1), strings=("auto",)),
    "learning_rate": one_of("constant", "invscaling", "adaptive"),
    "learning_rate_init": floats_above(0.0),
    "power_t": NOT_NEGATIVE,
    "max_iter": ints_from(1),
    "shuffle": BOOLEAN,
    "tol": NOT_NEGATIVE,
    "momentum": floats_between(0.0, 1.0),
    "nesterovs_momentum": BOOLEAN,
    "early_stopping": BOOLEAN,
    "validation_fraction": floats_between(0.0, 1.0, high_open=True),
    "beta_1": floats_between(0.0, 1.0, high_open=True),
    "beta_2": floats_between(0.0, 1.0, high_open=True),
    "epsilon": floats_above(0.0),
    "n_iter_no_change": ints_from(1),
    "max_fun": ints_from(1),
    **SEED,
}
MLP_BLOCKED = ("verbose", "warm_start")
MLP_GRID: Values = {
    "hidden_layer_sizes": ((50,), (100,), (50, 50)),
    "alpha": (0.0001, 0.001, 0.01),
    "learning_rate_init": (0.001, 0.01),
}

# --- Linear models ------------------------------------------------------------------------------

LINEAR: Schemas = {"fit_intercept": BOOLEAN, "tol": NOT_NEGATIVE}
RIDGE: Schemas = {
    **LINEAR,
    "alpha": NOT_NEGATIVE,
    "max_iter": ints_from(1, nullable=True),
    "solver": one_of("auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs"),
    "positive": BOOLEAN,
    **SEED,
}
LASSO: Schemas = {
    **LINEAR,
    "alpha": NOT_NEGATIVE,
    "max_iter": ints_from(1, nullable=True),
    "positive": BOOLEAN,
    "selection": one_of("cyclic", "random"),
    **SEED,
}
COORDINATE_DESCENT_BLOCKED = ("copy_X", "precompute", "warm_start")
RIDGE_ALPHAS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
