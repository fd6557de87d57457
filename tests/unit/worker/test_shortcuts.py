"""What the shortcuts answer is what scikit-learn would have answered, and nothing is left of them behind."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC
from sklearn.utils import validation

from services.worker.adapters.evaluation.shortcuts import known_answers

ASKED: Mapping[str, tuple[Any, str]] = {
    "frames and series": (validation, "_nw_into_df_or_series"),
    "feature names": (validation, "_get_feature_names"),
    "parameter names": (BaseEstimator, "_get_param_names"),
    "arguments of unique": (
        import_module("sklearn.externals.array_api_compat.common._aliases"),
        "_unique_kwargs",
    ),
}


class Named(np.ndarray):
    """An array of somebody's own."""


DATA: Mapping[str, Any] = {
    "array": np.zeros((3, 2)),
    "labels": np.array([0, 1, 1]),
    "text": np.array(["a", "b"]),
    "objects": np.array([[1, "a"]], dtype=object),
    "structured": np.zeros(2, dtype=[("a", float), ("b", int)]),
    "masked": np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    "subclass": np.zeros((3, 2)).view(Named),
    "list": [[1.0, 2.0]],
    "nothing": None,
    "not to be checked": "no_validation",
    "sparse": sparse.csr_array(np.eye(3)),
    "frame": pd.DataFrame({"a": [1.0], "b": [2.0]}),
    "unnamed frame": pd.DataFrame([[1.0, 2.0]]),
    "series": pd.Series([1.0], name="a"),
    "table": pa.table({"a": [1.0]}),
}


@pytest.mark.parametrize("where", ASKED.values(), ids=ASKED)
def test_this_scikit_learn_still_asks_where_the_shortcuts_are(where: tuple[Any, str]) -> None:
    owner, name = where
    own = vars(owner)[name]
    with known_answers():
        assert vars(owner)[name] is not own
    assert vars(owner)[name] is own


def test_an_error_inside_leaves_nothing_behind() -> None:
    before = [vars(owner)[name] for owner, name in ASKED.values()]
    with pytest.raises(KeyError), known_answers():
        raise KeyError
    assert [vars(owner)[name] for owner, name in ASKED.values()] == before


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("name", ["_nw_into_df_or_series", "_get_feature_names"])
def test_answers_about_data_are_the_same(name: str, data: Any) -> None:
    expected = getattr(validation, name)(data)
    with known_answers():
        answer = getattr(validation, name)(data)
    assert np.array_equal(answer, expected)
    assert type(answer) is type(expected)


def test_feature_names_of_mixed_kinds_are_refused_in_the_same_words() -> None:
    frame = pd.DataFrame([[1.0, 2.0]], columns=["a", 1])
    with known_answers(), pytest.raises(TypeError, match="all input features have string names"):
        validation._get_feature_names(frame)


def test_parameter_names_are_those_of_each_class() -> None:
    svc, bayes = SVC._get_param_names(), GaussianNB._get_param_names()
    with known_answers():
        for _ in range(2):
            names = SVC._get_param_names()
            assert names == svc
            # A caller's own list: what it does to it is its own business.
            names.clear()
            assert GaussianNB._get_param_names() == bayes
        assert GaussianNB(var_smoothing=0.5).get_params()["var_smoothing"] == 0.5


def test_a_constructor_with_arguments_without_names_is_refused_every_time() -> None:
    class Careless(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
        def __init__(self, *parts: Any) -> None:
            self.parts = parts

    with known_answers():
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no varargs"):
                Careless().get_params()
