"""The preset search spaces of every model type, in three sizes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from services.core import preset_tables as tables
from services.core.preset_size import PresetSize
from services.core.spread import Spread

_TABLES: Final[Mapping[str, tables.Table]] = MappingProxyType(
    {
        "random_forest_classifier": tables.FOREST,
        "random_forest_regressor": tables.FOREST,
        "extra_trees_classifier": tables.FOREST,
        "extra_trees_regressor": tables.FOREST,
        "decision_tree_classifier": tables.DECISION_TREE,
        "decision_tree_regressor": tables.DECISION_TREE,
        "gradient_boosting_classifier": tables.GRADIENT_BOOSTING,
        "gradient_boosting_regressor": tables.GRADIENT_BOOSTING,
        "hist_gradient_boosting_classifier": tables.HIST_GRADIENT_BOOSTING,
        "hist_gradient_boosting_regressor": tables.HIST_GRADIENT_BOOSTING,
        "xgboost_classifier": tables.XGBOOST,
        "xgboost_regressor": tables.XGBOOST,
        "lightgbm_classifier": tables.LIGHTGBM,
        "lightgbm_regressor": tables.LIGHTGBM,
        "svm_classifier": tables.SVM_CLASSIFIER,
        "svm_regressor": tables.SVM_REGRESSOR,
        "k_neighbors_classifier": tables.K_NEIGHBORS,
        "k_neighbors_regressor": tables.K_NEIGHBORS,
        "mlp_classifier": tables.MLP,
        "mlp_regressor": tables.MLP,
        "logistic_regression": tables.LOGISTIC_REGRESSION,
        "ridge_classifier": tables.RIDGE_CLASSIFIER,
        "gaussian_nb": tables.GAUSSIAN_NB,
        "ridge": tables.RIDGE,
        "elastic_net": tables.ELASTIC_NET,
        "lasso": tables.LASSO,
        "linear_regression": tables.LINEAR_REGRESSION,
    }
)
_COLUMNS: Final = {
    PresetSize.CONSERVATIVE: 0,
    PresetSize.DEFAULT: 1,
    PresetSize.AGGRESSIVE: 2,
}


def preset_spreads(
    model_type: str, size: PresetSize, *, fixed: Collection[str] = ()
) -> dict[str, Spread]:
    """Returns what a preset tries of each parameter, the most important first.

    Args:
        fixed: parameters to leave out.

    Raises: KeyError: the model type is not known.
    """
    column = _COLUMNS[size]
    return {
        name: spread
        for name, row in _TABLES[model_type].items()
        if (spread := row[column]) is not None and name not in fixed
    }
