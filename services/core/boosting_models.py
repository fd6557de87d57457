"""Model types of XGBoost 3.2 and LightGBM 4.7, which workers have with the extra `boosting`.

Boosting until a loss stops falling needs rows that are set aside: the parameters of `early_stopping` say
how many and which, and workers pass the rest on.
"""

from __future__ import annotations

from typing import Final

from services.core import early_stopping
from services.core.model_families import (
    BALANCED,
    FRACTION,
    NOT_NEGATIVE,
    SEED,
    Schemas,
    Values,
    ints_from,
    one_of,
)
from services.core.model_types import ModelType
from services.core.objective import Task
from services.core.parameter_schema import Floats, Ints, ParameterSchema

# XGBoost's own default of every parameter is None: it decides when it fits.
_NUMBER = ParameterSchema(floats=Floats(low=0.0), nullable=True)
_SHARE = ParameterSchema(floats=FRACTION, nullable=True)

XGBOOST: Schemas = {
    "booster": one_of("gbtree", "dart", nullable=True),
    "learning_rate": _NUMBER,
    "n_estimators": ints_from(1, nullable=True),
    "max_depth": ints_from(0, nullable=True),
    "max_leaves": ints_from(0, nullable=True),
    "max_bin": ParameterSchema(ints=Ints(low=2, high=65_536), nullable=True),
    "grow_policy": one_of("depthwise", "lossguide", nullable=True),
    "tree_method": one_of("auto", "exact", "approx", "hist", nullable=True),
    "gamma": _NUMBER,
    "min_child_weight": _NUMBER,
    "max_delta_step": _NUMBER,
    "subsample": _SHARE,
    "colsample_bytree": _SHARE,
    "colsample_bylevel": _SHARE,
    "colsample_bynode": _SHARE,
    "reg_alpha": _NUMBER,
    "reg_lambda": _NUMBER,
    "num_parallel_tree": ints_from(1, nullable=True),
    **early_stopping.PARAMETERS,
    **SEED,
}
XGBOOST_BLOCKED = (
    "base_score",
    "callbacks",
    "device",
    "enable_categorical",
    "eval_metric",
    "feature_types",
    "feature_weights",
    "importance_type",
    "interaction_constraints",
    "max_cat_threshold",
    "max_cat_to_onehot",
    "missing",
    "monotone_constraints",
    "multi_strategy",
    "n_jobs",
    "sampling_method",
    "validate_parameters",
    "verbosity",
)
XGBOOST_GRID: Values = {
    "n_estimators": (100, 200),
    "learning_rate": (0.05, 0.1, 0.2),
    "max_depth": (4, 6, 8),
}
XGBOOST_SETTINGS = {"n_jobs": 1, "verbosity": 0}

LIGHTGBM: Schemas = {
    "boosting_type": one_of("gbdt", "dart"),
    "learning_rate": ParameterSchema(floats=Floats(low=0.0, low_open=True)),
    "n_estimators": ints_from(1),
    "num_leaves": ParameterSchema(ints=Ints(low=2, high=131_072)),
    "max_depth": ints_from(-1),
    "min_child_samples": ints_from(0),
    "min_child_weight": NOT_NEGATIVE,
    "min_split_gain": NOT_NEGATIVE,
    "subsample": ParameterSchema(floats=FRACTION),
    "subsample_freq": ints_from(0),
    "subsample_for_bin": ints_from(1),
    "colsample_bytree": ParameterSchema(floats=FRACTION),
    "reg_alpha": NOT_NEGATIVE,
    "reg_lambda": NOT_NEGATIVE,
    **early_stopping.PARAMETERS,
    **SEED,
}
LIGHTGBM_BLOCKED = ("importance_type", "n_jobs")
LIGHTGBM_GRID: Values = {
    "n_estimators": (100, 200),
    "learning_rate": (0.05, 0.1, 0.2),
    "num_leaves": (15, 31, 63),
}
# Left to itself LightGBM chooses by a stopwatch whether it adds up rows or columns first.
LIGHTGBM_SETTINGS = {"n_jobs": 1, "verbosity": -1, "deterministic": True, "force_row_wise": True}

BOOSTING_MODELS: Final = (
    ModelType.of(
        "xgboost_classifier",
        "xgboost:XGBClassifier",
        task=Task.CLASSIFICATION,
        parameters={**XGBOOST, "scale_pos_weight": _NUMBER},
        default_grid=XGBOOST_GRID,
        blocked=(*XGBOOST_BLOCKED, "objective"),
        probabilities=True,
        takes_missing=True,
        settings=XGBOOST_SETTINGS,
    ),
    ModelType.of(
        "xgboost_regressor",
        "xgboost:XGBRegressor",
        task=Task.REGRESSION,
        parameters={
            **XGBOOST,
            "objective": one_of(
                "reg:squarederror",
                "reg:squaredlogerror",
                "reg:absoluteerror",
                "reg:pseudohubererror",
                "reg:gamma",
                "reg:tweedie",
                "count:poisson",
            ),
        },
        default_grid=XGBOOST_GRID,
        blocked=(*XGBOOST_BLOCKED, "scale_pos_weight"),
        takes_missing=True,
        settings=XGBOOST_SETTINGS,
    ),
    ModelType.of(
        "lightgbm_classifier",
        "lightgbm:LGBMClassifier",
        task=Task.CLASSIFICATION,
        parameters={**LIGHTGBM, "class_weight": BALANCED},
        default_grid=LIGHTGBM_GRID,
        blocked=(*LIGHTGBM_BLOCKED, "objective"),
        probabilities=True,
        takes_missing=True,
        settings=LIGHTGBM_SETTINGS,
    ),
    ModelType.of(
        "lightgbm_regressor",
        "lightgbm:LGBMRegressor",
        task=Task.REGRESSION,
        parameters={
            **LIGHTGBM,
            "objective": one_of(
                "regression",
                "regression_l1",
                "huber",
                "fair",
                "poisson",
                "quantile",
                "mape",
                "gamma",
                "tweedie",
                nullable=True,
            ),
        },
        default_grid=LIGHTGBM_GRID,
        blocked=(*LIGHTGBM_BLOCKED, "class_weight"),
        takes_missing=True,
        settings=LIGHTGBM_SETTINGS,
    ),
)
"""Gradient boosting that scikit-learn does not bring itself."""
