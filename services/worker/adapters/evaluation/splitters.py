"""Splits of a dataset, made by scikit-learn's own splitters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import model_selection
from sklearn.model_selection import check_cv

from services.core.objective import EvaluationSpec
from services.core.splitting import DEFAULT_REPEATS, DEFAULT_TEST_SIZE, SPLITTERS, Splitter
from services.worker.adapters.dataset_folder import TabularData

Split: TypeAlias = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

_FOLDS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "k_fold": model_selection.KFold,
        "stratified_k_fold": model_selection.StratifiedKFold,
        "group_k_fold": model_selection.GroupKFold,
        "stratified_group_k_fold": model_selection.StratifiedGroupKFold,
    }
)
_REPEATED: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "repeated_k_fold": model_selection.RepeatedKFold,
        "repeated_stratified_k_fold": model_selection.RepeatedStratifiedKFold,
    }
)
_DRAWN: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "shuffle_split": model_selection.ShuffleSplit,
        "stratified_shuffle_split": model_selection.StratifiedShuffleSplit,
    }
)


def splits_of(spec: EvaluationSpec, data: TabularData, *, classifier: bool) -> list[Split]:
    """Splits a dataset's rows.

    Returns: training and test rows of each split, in the order scikit-learn's splitter gives them:
        that of `check_cv(cv_folds, y, classifier=classifier)` where the evaluation names none.

    Raises: ValueError: the data cannot be split so.
    """
    if spec.splitter is None:
        plain = check_cv(spec.cv_folds, data.target, classifier=classifier)
        return list(plain.split(data.features, data.target))
    splitter = _splitter(spec.splitter, data, seed=spec.random_state)
    kind = SPLITTERS[spec.splitter.type]
    if kind.grouped:
        return list(splitter.split(data.features, data.target, groups=_role(data, "group")))
    splits = list(splitter.split(data.features, data.target))
    if kind.ordered and "time" in data.roles:
        # Rows of one moment stay in the order of the file.
        order = np.argsort(data.roles["time"], kind="stable")
        return [(order[train], order[test]) for train, test in splits]
    return splits


def _splitter(splitter: Splitter, data: TabularData, *, seed: int) -> Any:
    if splitter.type in _FOLDS:
        return _FOLDS[splitter.type](splitter.n_splits, **_shuffled(splitter, seed))
    if splitter.type in _REPEATED:
        return _REPEATED[splitter.type](**_repeated(splitter, seed))
    if splitter.type in _DRAWN:
        return _DRAWN[splitter.type](**_drawn(splitter, seed))
    match splitter.type:
        case "time_series_split":
            return model_selection.TimeSeriesSplit(
                splitter.n_splits,
                max_train_size=splitter.max_train_rows,
                test_size=splitter.test_rows,
                gap=splitter.gap or 0,
            )
        case "leave_one_group_out":
            return model_selection.LeaveOneGroupOut()
        case "predefined_split":
            return model_selection.PredefinedSplit(_role(data, "fold"))
        case unknown:
            raise ValueError(f'this worker does not know the splitter "{unknown}"; update it')


def _role(data: TabularData, role: str) -> npt.NDArray[Any]:
    try:
        return data.roles[role]
    except KeyError:
        raise ValueError(f"the dataset has no {role} column") from None


def _shuffled(splitter: Splitter, seed: int) -> dict[str, Any]:
    # Without shuffling there is nothing to seed, and scikit-learn refuses a seed.
    return {"shuffle": True, "random_state": seed} if splitter.shuffle else {}


def _repeated(splitter: Splitter, seed: int) -> dict[str, Any]:
    repeats = DEFAULT_REPEATS if splitter.n_repeats is None else splitter.n_repeats
    return {"n_splits": splitter.n_splits, "n_repeats": repeats, "random_state": seed}


def _drawn(splitter: Splitter, seed: int) -> dict[str, Any]:
    share = DEFAULT_TEST_SIZE if splitter.test_size is None else splitter.test_size
    return {"n_splits": splitter.n_splits, "test_size": share, "random_state": seed}
