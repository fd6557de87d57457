"""Two steps are taken for the same only if they do the same to the last bit."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, f_classif, mutual_info_classif
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)

from services.worker.adapters.evaluation.columns import ColumnsNamed
from services.worker.adapters.evaluation.fingerprints import NoFingerprint, fingerprint


def _columns(names: tuple[str, ...] = ("a",), **scaler: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numeric", Pipeline([("scale", StandardScaler(**scaler))]), ColumnsNamed(names)),
            ("categorical", "passthrough", ColumnsNamed(("b",))),
        ]
    )


STEPS = (
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler().set_output(transform="pandas"),
    MinMaxScaler(feature_range=(0, 1)),
    MinMaxScaler(feature_range=(0, 1.0)),
    MinMaxScaler(feature_range=(False, 1)),
    MinMaxScaler(feature_range=(-0.0, 1.0)),
    MinMaxScaler(feature_range=(0.0, 1.0)),
    MinMaxScaler(feature_range=[0.0, 1.0]),
    OneHotEncoder(min_frequency=1),
    OneHotEncoder(min_frequency=1.0),
    OneHotEncoder(dtype=np.float32),
    PCA(random_state=1),
    PCA(random_state=2),
    SelectKBest(f_classif),
    SelectKBest(functools.partial(mutual_info_classif, random_state=1)),
    SelectKBest(functools.partial(mutual_info_classif, random_state=2)),
    TargetEncoder(cv=StratifiedKFold(3, shuffle=True, random_state=1)),
    TargetEncoder(cv=StratifiedKFold(3, shuffle=True, random_state=2)),
    TargetEncoder(cv=KFold(3, shuffle=True, random_state=1)),
    TargetEncoder(cv=KFold(3)),
    _columns(),
    _columns(names=("b",)),
    _columns(with_std=False),
    _columns().set_output(transform="pandas"),
)


def test_a_step_is_the_same_as_its_copy_and_as_no_other() -> None:
    found = {fingerprint(step) for step in STEPS}
    assert len(found) == len(STEPS)
    assert {fingerprint(clone(step)) for step in STEPS} == found
    assert fingerprint(OneHotEncoder(min_frequency=np.nan)) == fingerprint(
        OneHotEncoder(min_frequency=np.nan)
    )


@pytest.mark.parametrize(
    "step",
    [
        PCA(),
        PCA(random_state=np.random.RandomState(1)),
        PCA(random_state=True),
        PCA(random_state=1, copy=False),
        StandardScaler(copy=False),
        QuantileTransformer(),
        SelectKBest(functools.partial(mutual_info_classif, random_state=None)),
        TargetEncoder(cv=3),
        TargetEncoder(cv=KFold(3, shuffle=True)),
        TargetEncoder(cv=iter([])),
        _columns(copy=False),
    ],
    # The same in every process: some of these print their address.
    ids=[
        "no seed",
        "a generator as seed",
        "a flag as seed",
        "written in place",
        "written in place by another type",
        "no seed of a drawing step",
        "no seed within a function",
        "no seed of its folds",
        "no seed of given folds",
        "folds that end",
        "written in place within columns",
    ],
)
def test_steps_that_draw_write_or_cannot_be_compared_have_none(step: Any) -> None:
    with pytest.raises(NoFingerprint):
        fingerprint(step)
