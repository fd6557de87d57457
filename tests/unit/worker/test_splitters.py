"""Splitters are refused exactly when scikit-learn's own refuse to split, and give as many splits as was said."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.objective import EvaluationSpec
from services.core.split_checks import RowFacts, check_splitter
from services.core.splitting import SPLITTERS, Splitter
from services.worker.adapters.dataset_folder import TabularData
from services.worker.adapters.evaluation.splitters import splits_of


@st.composite
def _splitters(draw: st.DrawFn) -> Splitter:
    name = draw(st.sampled_from(sorted(SPLITTERS)))
    settings = {
        "shuffle": st.booleans(),
        "n_repeats": st.integers(1, 3),
        "test_size": st.floats(0.01, 0.99),
        "gap": st.integers(0, 5),
        "max_train_rows": st.integers(1, 20),
        "test_rows": st.integers(1, 8),
    }
    given_settings = {
        key: draw(st.none() | each)
        for key, each in settings.items()
        if key in SPLITTERS[name].settings
    }
    n_splits = draw(st.integers(2, 12)) if SPLITTERS[name].counted else None
    return Splitter(type=name, n_splits=n_splits, **given_settings)  # type: ignore[arg-type]  # each of its own kind


@given(
    splitter=_splitters(),
    counts=st.lists(st.integers(1, 12), min_size=2, max_size=3),
    groups=st.sampled_from([0, 2, 3, 7]),
    folds=st.integers(0, 4),
)
def test_what_is_accepted_is_what_scikit_learn_splits(
    splitter: Splitter, counts: list[int], groups: int, folds: int
) -> None:
    target = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(target))
    roles = {"group": rows % groups} if groups else {}
    if folds:
        roles["fold"] = rows % (folds + 1) - 1
    data = TabularData(
        features=np.zeros((len(target), 1)),
        target=target,
        numeric=("x",),
        categorical=(),
        roles=roles,
    )
    facts = RowFacts(
        count=len(target),
        class_counts=tuple(counts),
        group_count=len(np.unique(roles["group"])) if groups else 0,
        fold_count=len(set(roles["fold"].tolist()) - {-1}) if folds else 0,
    )
    checked = check_splitter(splitter, facts)
    spec = EvaluationSpec(
        dataset_id="d",
        dataset_hash="h",
        model_type="m",
        metrics=("accuracy",),
        splitter=splitter,
        cv_folds=checked.split_count,
    )
    # scikit-learn makes stratified folds of too few groups, of which some test nothing.
    empty = splitter.type == "stratified_group_k_fold" and facts.group_count > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not checked.problems:
            assert len(splits_of(spec, data, classifier=True)) == checked.split_count
        elif not (empty and (splitter.n_splits or 0) > facts.group_count):
            with pytest.raises(ValueError, match=r"\w"):
                splits_of(spec, data, classifier=True)
