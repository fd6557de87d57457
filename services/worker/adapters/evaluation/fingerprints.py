"""What makes two unfitted estimators do the same, as a value that can be looked up in this process."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

import numpy as np
from sklearn.base import BaseEstimator

_PLAIN: Final = (type(None), bool, int, str, bytes, type, FunctionType, BuiltinFunctionType)
_SEED = "random_state"
_COPIES = ("copy", "copy_X")


class NoFingerprint(Exception):
    """Something does not do the same each time, changes what it is given, or cannot be compared."""


def fingerprint(value: Any) -> Hashable:
    """Sums up an unfitted estimator: its class, output format and parameters, nested ones too.

    Returns: equal values for estimators that fit and transform alike, bit for bit; 1, 1.0 and True
        differ, as they do to estimators. Of use in this process only.

    Raises: NoFingerprint: it draws random numbers without a whole number as its seed, writes to its
        input (`copy=False`), or has a parameter of a kind that is not known here.
    """
    if isinstance(value, _PLAIN):
        return (type(value), value)
    if isinstance(value, float | np.generic):
        # As bytes: NaN is not equal to itself, and 0.0 is to -0.0.
        return (type(value), np.asarray(value).tobytes())
    if isinstance(value, list | tuple):
        return (type(value), *map(fingerprint, value))
    if isinstance(value, Mapping):
        return (dict, *((fingerprint(key), fingerprint(each)) for key, each in value.items()))
    if isinstance(value, functools.partial):
        _check(value.keywords)
        return (value.func, fingerprint(value.args), fingerprint(value.keywords))
    if isinstance(value, BaseEstimator):
        return _of_estimator(value)
    if is_dataclass(value):
        return (type(value), *(fingerprint(getattr(value, each.name)) for each in fields(value)))
    if callable(getattr(value, "get_n_splits", None)):
        _check(vars(value))
        return (type(value), fingerprint(vars(value)))
    raise NoFingerprint(f"a {type(value).__name__} cannot be compared")


def _of_estimator(estimator: Any) -> Hashable:
    if hasattr(estimator, "_metadata_request"):
        raise NoFingerprint("it asks for metadata, which nothing here gives it")
    parameters = estimator.get_params(deep=False)
    _check(parameters)
    return (
        type(estimator),
        # Where `set_output` leaves what it is told.
        fingerprint(getattr(estimator, "_sklearn_output_config", None)),
        fingerprint(parameters),
    )


def _check(parameters: Mapping[str, Any]) -> None:
    seed = parameters.get(_SEED, 0)
    # One that scikit-learn will drop is called "deprecated"; then only the splitter draws.
    left_to_splitter = seed == "deprecated" and hasattr(parameters.get("cv"), "get_n_splits")
    draws = parameters.get("shuffle", True) and not left_to_splitter
    if draws and type(seed) is not int:
        raise NoFingerprint(f"{_SEED}={seed!r} is no whole number")
    if any(parameters.get(name, True) is False for name in _COPIES):
        raise NoFingerprint("it writes to its input")
