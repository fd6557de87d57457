"""Preprocessing types that make, reshape or drop numeric features.

They work on every column that is numeric when their turn comes: encoded ones too.
"""

from __future__ import annotations

from typing import Final

from services.core.objective import ColumnKind
from services.core.parameter_schema import Floats, Ints, ParameterSchema, Tuples
from services.core.step_type import StepType

_BOOLEAN = ParameterSchema(booleans=True)
_TOLERANCE = ParameterSchema(floats=Floats(low=0.0))
_SOLVER_PARAMETERS = {
    "n_oversamples": ParameterSchema(ints=Ints(low=1)),
    "power_iteration_normalizer": ParameterSchema(strings=("auto", "QR", "LU", "none")),
    "tol": _TOLERANCE,
}
# Of ten features the tenth degree makes 184,756; more is a misprint that fills a machine's memory.
_DEGREE = Ints(low=0, high=10)

FEATURE_STEPS: Final = (
    StepType(
        name="pca",
        transformer="sklearn.decomposition:PCA",
        parameters={
            "n_components": ParameterSchema(
                ints=Ints(low=1),
                floats=Floats(low=0.0, high=1.0, low_open=True, high_open=True),
                strings=("mle",),
                nullable=True,
            ),
            "whiten": _BOOLEAN,
            "svd_solver": ParameterSchema(
                strings=("auto", "full", "covariance_eigh", "arpack", "randomized")
            ),
            "iterated_power": ParameterSchema(ints=Ints(low=0), strings=("auto",)),
            **_SOLVER_PARAMETERS,
        },
        blocked=("copy", "random_state"),
        columns=ColumnKind.NUMERIC,
        takes_missing=False,
    ),
    StepType(
        name="truncated_svd",
        transformer="sklearn.decomposition:TruncatedSVD",
        parameters={
            "n_components": ParameterSchema(ints=Ints(low=1)),
            "algorithm": ParameterSchema(strings=("randomized", "arpack")),
            "n_iter": ParameterSchema(ints=Ints(low=0)),
            **_SOLVER_PARAMETERS,
        },
        blocked=("random_state",),
        columns=ColumnKind.NUMERIC,
        takes_missing=False,
    ),
    StepType(
        name="polynomial_features",
        transformer="sklearn.preprocessing:PolynomialFeatures",
        parameters={
            "degree": ParameterSchema(
                ints=_DEGREE,
                tuples=Tuples(items=_DEGREE, min_length=2, max_length=2, ascending=True),
            ),
            "interaction_only": _BOOLEAN,
            "include_bias": _BOOLEAN,
        },
        blocked=("order",),
        columns=ColumnKind.NUMERIC,
        takes_missing=False,
    ),
    StepType(
        name="power_transformer",
        transformer="sklearn.preprocessing:PowerTransformer",
        parameters={
            "method": ParameterSchema(strings=("yeo-johnson", "box-cox")),
            "standardize": _BOOLEAN,
        },
        blocked=("copy",),
        columns=ColumnKind.NUMERIC,
    ),
    StepType(
        name="quantile_transformer",
        transformer="sklearn.preprocessing:QuantileTransformer",
        parameters={
            "n_quantiles": ParameterSchema(ints=Ints(low=1)),
            "output_distribution": ParameterSchema(strings=("uniform", "normal")),
            "subsample": ParameterSchema(ints=Ints(low=1), nullable=True),
        },
        blocked=("copy", "ignore_implicit_zeros", "random_state"),
        columns=ColumnKind.NUMERIC,
    ),
    StepType(
        name="variance_threshold",
        transformer="sklearn.feature_selection:VarianceThreshold",
        parameters={"threshold": ParameterSchema(floats=Floats(low=0.0))},
        blocked=(),
        columns=ColumnKind.NUMERIC,
    ),
)
"""Types that make features of features, in the order people read of them."""
