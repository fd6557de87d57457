"""The values estimators have when nothing sets them, as of scikit-learn 1.9.

A test holds the table against scikit-learn itself. Estimators are never imported here: that takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.core.model_catalog import MODEL_TYPES
from services.core.space import Value

# By parameter: most estimators agree.
_USUAL: Final[Mapping[str, Value]] = {
    "C": 1.0,
    "activation": "relu",
    "algorithm": "auto",
    "alpha": 1.0,
    "batch_size": "auto",
    "beta_1": 0.9,
    "beta_2": 0.999,
    "bootstrap": True,
    "break_ties": False,
    "ccp_alpha": 0.0,
    "class_weight": None,
    "coef0": 0.0,
    "criterion": "gini",
    "decision_function_shape": "ovr",
    "degree": 3,
    "dual": False,
    "early_stopping": "auto",
    "epsilon": 1e-08,
    "fit_intercept": True,
    "gamma": "scale",
    "hidden_layer_sizes": (100,),
    "init": None,
    "interaction_cst": None,
    "intercept_scaling": 1.0,
    "kernel": "rbf",
    "l1_ratio": 0.0,
    "l2_regularization": 0.0,
    "leaf_size": 30,
    "learning_rate": 0.1,
    "learning_rate_init": 0.001,
    "loss": "squared_error",
    "max_bins": 255,
    "max_depth": None,
    "max_features": None,
    "max_fun": 15000,
    "max_iter": 100,
    "max_leaf_nodes": None,
    "max_samples": None,
    "metric": "minkowski",
    "min_impurity_decrease": 0.0,
    "min_samples_leaf": 1,
    "min_samples_split": 2,
    "min_weight_fraction_leaf": 0.0,
    "momentum": 0.9,
    "n_estimators": 100,
    "n_iter_no_change": 10,
    "n_neighbors": 5,
    "nesterovs_momentum": True,
    "p": 2.0,
    "positive": False,
    "power_t": 0.5,
    "priors": None,
    "quantile": None,
    "scoring": "loss",
    "selection": "cyclic",
    "shrinking": True,
    "shuffle": True,
    "solver": "adam",
    "splitter": "best",
    "subsample": 1.0,
    "tol": 0.0001,
    "validation_fraction": 0.1,
    "var_smoothing": 1e-09,
    "weights": "uniform",
}

# By model type, where it does not agree with the others.
_OWN: Final[Mapping[str, Mapping[str, Value]]] = {
    "decision_tree_regressor": {
        "criterion": "squared_error",
    },
    "elastic_net": {
        "l1_ratio": 0.5,
        "max_iter": 1000,
    },
    "extra_trees_classifier": {
        "bootstrap": False,
        "max_features": "sqrt",
    },
    "extra_trees_regressor": {
        "bootstrap": False,
        "criterion": "squared_error",
        "max_features": 1.0,
    },
    "gradient_boosting_classifier": {
        "loss": "log_loss",
        "max_depth": 3,
        "n_iter_no_change": None,
    },
    "gradient_boosting_regressor": {
        "alpha": 0.9,
        "max_depth": 3,
        "n_iter_no_change": None,
    },
    "hist_gradient_boosting_classifier": {
        "loss": "log_loss",
        "max_features": 1.0,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 20,
        "tol": 1e-07,
    },
    "hist_gradient_boosting_regressor": {
        "max_features": 1.0,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 20,
        "tol": 1e-07,
    },
    "lasso": {
        "max_iter": 1000,
    },
    "linear_regression": {
        "tol": 1e-06,
    },
    "logistic_regression": {
        "solver": "lbfgs",
    },
    "mlp_classifier": {
        "alpha": 0.0001,
        "early_stopping": False,
        "learning_rate": "constant",
        "max_iter": 200,
    },
    "mlp_regressor": {
        "alpha": 0.0001,
        "early_stopping": False,
        "learning_rate": "constant",
        "max_iter": 200,
    },
    "random_forest_classifier": {
        "max_features": "sqrt",
    },
    "random_forest_regressor": {
        "criterion": "squared_error",
        "max_features": 1.0,
    },
    "ridge": {
        "max_iter": None,
        "solver": "auto",
    },
    "ridge_classifier": {
        "max_iter": None,
        "solver": "auto",
    },
    "svm_classifier": {
        "max_iter": -1,
        "tol": 0.001,
    },
    "svm_regressor": {
        "epsilon": 0.1,
        "max_iter": -1,
        "tol": 0.001,
    },
}

# Model types the table speaks for: of others nothing is known.
_COVERED: Final = frozenset(
    {
        "decision_tree_classifier",
        "decision_tree_regressor",
        "elastic_net",
        "extra_trees_classifier",
        "extra_trees_regressor",
        "gaussian_nb",
        "gradient_boosting_classifier",
        "gradient_boosting_regressor",
        "hist_gradient_boosting_classifier",
        "hist_gradient_boosting_regressor",
        "k_neighbors_classifier",
        "k_neighbors_regressor",
        "lasso",
        "linear_regression",
        "logistic_regression",
        "mlp_classifier",
        "mlp_regressor",
        "random_forest_classifier",
        "random_forest_regressor",
        "ridge",
        "ridge_classifier",
        "svm_classifier",
        "svm_regressor",
    }
)


def default_parameters(model_type: str) -> Mapping[str, Value]:
    """The default of every tunable parameter of a model type, without `random_state`.

    Empty for model types whose defaults are not known here.
    """
    if model_type not in _COVERED:
        return MappingProxyType({})
    own = _OWN.get(model_type, {})
    return MappingProxyType(
        {
            name: own[name] if name in own else _USUAL[name]
            for name in MODEL_TYPES[model_type].parameters
            if name in own or name in _USUAL
        }
    )
