"""The table of model types: every estimator that can be tuned, as of scikit-learn 1.9.

XGBoost's and LightGBM's are in `boosting_models`. A test holds the table against the libraries
themselves: parameters, defaults and ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.core.boosting_models import BOOSTING_MODELS
from services.core.model_families import (
    BALANCED,
    BOOLEAN,
    CLASS_CRITERION,
    COORDINATE_DESCENT_BLOCKED,
    DECISION_TREE,
    FOREST_BLOCKED,
    FOREST_CLASSIFIER,
    FOREST_GRID,
    FOREST_REGRESSOR,
    GRADIENT_BOOSTING,
    GRADIENT_BOOSTING_BLOCKED,
    GRADIENT_BOOSTING_GRID,
    HIST_GRADIENT_BOOSTING,
    HIST_GRADIENT_BOOSTING_BLOCKED,
    HIST_GRADIENT_BOOSTING_GRID,
    K_NEIGHBORS,
    K_NEIGHBORS_BLOCKED,
    K_NEIGHBORS_GRID,
    LASSO,
    LINEAR,
    MLP,
    MLP_BLOCKED,
    MLP_GRID,
    NOT_NEGATIVE,
    NUMBER_CRITERION,
    OPEN_FRACTION,
    RIDGE,
    RIDGE_ALPHAS,
    SEED,
    SVM,
    floats_above,
    floats_between,
    ints_from,
    one_of,
)
from services.core.model_types import ModelType
from services.core.objective import Task
from services.core.parameter_schema import Floats, ParameterSchema, Tuples

_model = ModelType.of

_TABLE: Final = (
    _model(
        "random_forest_classifier",
        "sklearn.ensemble:RandomForestClassifier",
        task=Task.CLASSIFICATION,
        parameters=FOREST_CLASSIFIER,
        default_grid=FOREST_GRID,
        blocked=FOREST_BLOCKED,
        probabilities=True,
        takes_missing=True,
    ),
    _model(
        "random_forest_regressor",
        "sklearn.ensemble:RandomForestRegressor",
        task=Task.REGRESSION,
        parameters=FOREST_REGRESSOR,
        default_grid=FOREST_GRID,
        blocked=FOREST_BLOCKED,
        takes_missing=True,
    ),
    _model(
        "extra_trees_classifier",
        "sklearn.ensemble:ExtraTreesClassifier",
        task=Task.CLASSIFICATION,
        parameters=FOREST_CLASSIFIER,
        default_grid=FOREST_GRID,
        blocked=FOREST_BLOCKED,
        probabilities=True,
        takes_missing=True,
    ),
    _model(
        "extra_trees_regressor",
        "sklearn.ensemble:ExtraTreesRegressor",
        task=Task.REGRESSION,
        parameters=FOREST_REGRESSOR,
        default_grid=FOREST_GRID,
        blocked=FOREST_BLOCKED,
        takes_missing=True,
    ),
    _model(
        "gradient_boosting_classifier",
        "sklearn.ensemble:GradientBoostingClassifier",
        task=Task.CLASSIFICATION,
        parameters={**GRADIENT_BOOSTING, "loss": one_of("log_loss", "exponential")},
        default_grid=GRADIENT_BOOSTING_GRID,
        blocked=GRADIENT_BOOSTING_BLOCKED,
        probabilities=True,
    ),
    _model(
        "gradient_boosting_regressor",
        "sklearn.ensemble:GradientBoostingRegressor",
        task=Task.REGRESSION,
        parameters={
            **GRADIENT_BOOSTING,
            "loss": one_of("squared_error", "absolute_error", "huber", "quantile"),
            "alpha": ParameterSchema(floats=OPEN_FRACTION),
        },
        default_grid=GRADIENT_BOOSTING_GRID,
        blocked=GRADIENT_BOOSTING_BLOCKED,
    ),
    _model(
        "hist_gradient_boosting_classifier",
        "sklearn.ensemble:HistGradientBoostingClassifier",
        task=Task.CLASSIFICATION,
        parameters={
            **HIST_GRADIENT_BOOSTING,
            "loss": one_of("log_loss"),
            "class_weight": BALANCED,
        },
        default_grid=HIST_GRADIENT_BOOSTING_GRID,
        blocked=HIST_GRADIENT_BOOSTING_BLOCKED,
        probabilities=True,
        takes_missing=True,
    ),
    _model(
        "hist_gradient_boosting_regressor",
        "sklearn.ensemble:HistGradientBoostingRegressor",
        task=Task.REGRESSION,
        parameters={
            **HIST_GRADIENT_BOOSTING,
            "loss": one_of("squared_error", "absolute_error", "gamma", "poisson", "quantile"),
            "quantile": ParameterSchema(floats=Floats(low=0.0, high=1.0), nullable=True),
        },
        default_grid=HIST_GRADIENT_BOOSTING_GRID,
        blocked=HIST_GRADIENT_BOOSTING_BLOCKED,
        takes_missing=True,
    ),
    _model(
        "svm_classifier",
        "sklearn.svm:SVC",
        task=Task.CLASSIFICATION,
        parameters={
            **SVM,
            "class_weight": BALANCED,
            "decision_function_shape": one_of("ovo", "ovr"),
            "break_ties": BOOLEAN,
            **SEED,
        },
        default_grid={"C": (0.1, 1.0, 10.0, 100.0), "gamma": ("scale", 0.001, 0.01, 0.1)},
        blocked=("cache_size", "probability", "verbose"),
    ),
    _model(
        "svm_regressor",
        "sklearn.svm:SVR",
        task=Task.REGRESSION,
        parameters={**SVM, "epsilon": NOT_NEGATIVE},
        default_grid={
            "C": (0.1, 1.0, 10.0, 100.0),
            "epsilon": (0.01, 0.1, 1.0),
            "gamma": ("scale", 0.01, 0.1),
        },
        blocked=("cache_size", "verbose"),
    ),
    _model(
        "k_neighbors_classifier",
        "sklearn.neighbors:KNeighborsClassifier",
        task=Task.CLASSIFICATION,
        parameters=K_NEIGHBORS,
        default_grid=K_NEIGHBORS_GRID,
        blocked=K_NEIGHBORS_BLOCKED,
        probabilities=True,
        takes_weights=False,
    ),
    _model(
        "k_neighbors_regressor",
        "sklearn.neighbors:KNeighborsRegressor",
        task=Task.REGRESSION,
        parameters=K_NEIGHBORS,
        default_grid=K_NEIGHBORS_GRID,
        blocked=K_NEIGHBORS_BLOCKED,
        takes_weights=False,
    ),
    _model(
        "decision_tree_classifier",
        "sklearn.tree:DecisionTreeClassifier",
        task=Task.CLASSIFICATION,
        parameters={**DECISION_TREE, **CLASS_CRITERION, "class_weight": BALANCED},
        default_grid={
            "criterion": ("gini", "entropy"),
            "max_depth": (3, 5, 10, None),
            "min_samples_leaf": (1, 2, 5, 10),
        },
        blocked=("monotonic_cst",),
        probabilities=True,
        takes_missing=True,
    ),
    _model(
        "decision_tree_regressor",
        "sklearn.tree:DecisionTreeRegressor",
        task=Task.REGRESSION,
        parameters={**DECISION_TREE, **NUMBER_CRITERION},
        default_grid={
            "max_depth": (3, 5, 10, None),
            "min_samples_leaf": (1, 2, 5, 10),
        },
        blocked=("monotonic_cst",),
        takes_missing=True,
    ),
    _model(
        "mlp_classifier",
        "sklearn.neural_network:MLPClassifier",
        task=Task.CLASSIFICATION,
        parameters=MLP,
        default_grid=MLP_GRID,
        blocked=MLP_BLOCKED,
        probabilities=True,
    ),
    _model(
        "mlp_regressor",
        "sklearn.neural_network:MLPRegressor",
        task=Task.REGRESSION,
        parameters={**MLP, "loss": one_of("squared_error", "poisson")},
        default_grid=MLP_GRID,
        blocked=MLP_BLOCKED,
    ),
    _model(
        "logistic_regression",
        "sklearn.linear_model:LogisticRegression",
        task=Task.CLASSIFICATION,
        parameters={
            **LINEAR,
            "C": floats_above(0.0),
            "l1_ratio": floats_between(0.0, 1.0),
            # What grids written for earlier versions say; scikit-learn 1.9 still takes it beside l1_ratio.
            "penalty": one_of("l1", "l2", "elasticnet", nullable=True),
            "dual": BOOLEAN,
            "intercept_scaling": floats_above(0.0),
            "class_weight": BALANCED,
            "solver": one_of("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"),
            "max_iter": ints_from(0),
            **SEED,
        },
        default_grid={
            "C": (0.01, 0.1, 1.0, 10.0, 100.0),
            "class_weight": (None, "balanced"),
        },
        blocked=("n_jobs", "verbose", "warm_start"),
        probabilities=True,
    ),
    _model(
        "ridge_classifier",
        "sklearn.linear_model:RidgeClassifier",
        task=Task.CLASSIFICATION,
        parameters={**RIDGE, "class_weight": BALANCED},
        default_grid={"alpha": RIDGE_ALPHAS, "class_weight": (None, "balanced")},
        blocked=("copy_X",),
    ),
    _model(
        "gaussian_nb",
        "sklearn.naive_bayes:GaussianNB",
        task=Task.CLASSIFICATION,
        parameters={
            "priors": ParameterSchema(
                tuples=Tuples(items=Floats(low=0.0, high=1.0), min_length=2, max_length=1000),
                nullable=True,
            ),
            "var_smoothing": NOT_NEGATIVE,
        },
        default_grid={
            "var_smoothing": (1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3),
        },
        probabilities=True,
    ),
    _model(
        "ridge",
        "sklearn.linear_model:Ridge",
        task=Task.REGRESSION,
        parameters=RIDGE,
        default_grid={"alpha": RIDGE_ALPHAS, "fit_intercept": (True, False)},
        blocked=("copy_X",),
    ),
    _model(
        "elastic_net",
        "sklearn.linear_model:ElasticNet",
        task=Task.REGRESSION,
        parameters={**LASSO, "l1_ratio": floats_between(0.0, 1.0)},
        default_grid={
            "alpha": (0.001, 0.01, 0.1, 1.0, 10.0),
            "l1_ratio": (0.1, 0.5, 0.9),
        },
        blocked=COORDINATE_DESCENT_BLOCKED,
    ),
    _model(
        "lasso",
        "sklearn.linear_model:Lasso",
        task=Task.REGRESSION,
        parameters=LASSO,
        default_grid={"alpha": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)},
        blocked=COORDINATE_DESCENT_BLOCKED,
    ),
    _model(
        "linear_regression",
        "sklearn.linear_model:LinearRegression",
        task=Task.REGRESSION,
        parameters={**LINEAR, "positive": BOOLEAN},
        # All there is to choose: four points.
        default_grid={"fit_intercept": (True, False), "positive": (False, True)},
        blocked=("copy_X", "n_jobs"),
    ),
    *BOOSTING_MODELS,
)

MODEL_TYPES: Final[Mapping[str, ModelType]] = MappingProxyType({each.name: each for each in _TABLE})
"""Every model type by name."""
