"""XGBoost's classifier for classes of any kind: its own takes 0, 1, … only, in every training part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

_SHOWN_CLASSES = 5


class XGBClassifier(xgboost.XGBClassifier):
    """Numbers the classes of each fit in their order, and answers in the classes it was given."""

    _labels: npt.NDArray[Any] | None = None

    def fit(  # `sample_weight` by name: what takes weights is read from the signature.
        self,
        X: Any,  # noqa: N803 (scikit-learn's name)
        y: Any,
        *,
        sample_weight: npt.NDArray[Any] | None = None,
        eval_set: Sequence[tuple[Any, Any]] | None = None,
        **parameters: Any,
    ) -> XGBClassifier:
        """Fits on the places of the classes among `numpy.unique(y)`; weights have shape (n_rows,).

        Raises: ValueError: a class in `eval_set`, pairs of features and classes, is none of `y`, or as
            XGBoost's own.
        """
        # The fit itself compares with the classes 0, 1, … that the parent has.
        self._labels = None
        labels, places = np.unique(y, return_inverse=True)
        if eval_set is not None:
            eval_set = [(each, _places(classes, labels)) for each, classes in eval_set]
        super().fit(X, places, sample_weight=sample_weight, eval_set=eval_set, **parameters)
        self._labels = labels
        return self

    def name_classes(self, y: Any) -> None:
        """Answers from now on in the classes of what it was fitted on, shape (n_rows,)."""
        self._labels = np.unique(y)

    def predict(self, X: Any, **parameters: Any) -> npt.NDArray[Any]:  # noqa: N803 (as above)
        """Gives one class per row, shape (n_rows,)."""
        places: npt.NDArray[Any] = super().predict(X, **parameters)
        return places if self._labels is None else self._labels[places.astype(np.intp)]

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes in their order, shape (n_classes,)."""
        numbered: npt.NDArray[Any] = super().classes_
        return numbered if self._labels is None else self._labels


def _places(classes: npt.NDArray[Any], labels: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    unseen = np.setdiff1d(classes, labels)
    if unseen.size:
        # By place alone it would pass for another class, and boosting stop by that one's loss.
        listed = ", ".join(str(each) for each in unseen[:_SHOWN_CLASSES])
        raise ValueError(
            f"rows that say when to stop have classes that no fitted row has: {listed}"
        )
    return np.searchsorted(labels, classes)
