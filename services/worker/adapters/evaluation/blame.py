"""Whether the parameters of a candidate are to blame for a fit that failed, or the data."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.base import clone, is_classifier
from sklearn.utils import _safe_indexing

from services.worker.adapters.evaluation.estimators import Estimator
from services.worker.adapters.evaluation.folds import Fold

_ROWS: Final = 64
_REFUSALS: Final = (ValueError, TypeError, NotImplementedError)
_NUMBER: Final = re.compile(r"\d+")


class Blame:
    """Tells candidates that an estimator refuses from data that it cannot take.

    scikit-learn refuses values that do not go together while it fits, and some that do not go with the number
    of rows while it predicts, by the exceptions it has for data too. A fit on a few rows, predicted again,
    tells the two apart: the candidate fails there with the same words, and the model run as it is does not.

    Args:
        own: the unfitted estimator of the model run as it is.
    """

    def __init__(self, own: Estimator) -> None:
        self._own = own
        self._own_refusal: _Refusal | None = None
        self._own_tried = False

    def lies_with_parameters(self, error: Exception, candidate: Estimator, fold: Fold) -> bool:
        """Whether a candidate failed by its parameters.

        Args:
            error: what its fit raised.
            fold: of the run; its first rows, of a classifier those of each class, are fitted again.
        """
        if not isinstance(error, _REFUSALS):
            return False
        rows = _few(fold.train_target, classifier=is_classifier(self._own))
        features, target = _safe_indexing(fold.train_features, rows), fold.train_target[rows]
        again = _refusal(candidate, features, target)
        if again is None or not again.is_like(error):
            return False
        if not self._own_tried:
            self._own_refusal = _refusal(self._own, features, target)
            self._own_tried = True
        own = self._own_refusal
        return own is None or (own.fitted and not again.fitted)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Refusal:
    """Why an estimator failed on a few rows; `fitted` where that was while it predicted."""

    error: Exception
    fitted: bool

    def is_like(self, error: Exception) -> bool:
        """Whether another one says the same; what is said of a prediction may count its rows."""
        if type(self.error) is not type(error):
            return False
        ours, theirs = str(self.error), str(error)
        return ours == theirs or (self.fitted and _uncounted(ours) == _uncounted(theirs))


def _uncounted(text: str) -> str:
    return _NUMBER.sub("#", text)


def _few(target: npt.NDArray[Any], *, classifier: bool) -> npt.NDArray[np.intp]:
    """Gives the places of a few rows, ascending: of a classifier as many of every class."""
    if not classifier:
        return np.arange(min(_ROWS, len(target)))
    classes = np.unique(target)
    share = max(_ROWS // len(classes), 2)
    return np.sort(np.concatenate([np.flatnonzero(target == each)[:share] for each in classes]))


def _refusal(estimator: Estimator, features: Any, target: npt.NDArray[Any]) -> _Refusal | None:
    fitted = None
    with warnings.catch_warnings():
        # So few rows converge badly, which nobody asked about.
        warnings.simplefilter("ignore")
        try:
            fitted = clone(estimator).fit(features, target)
            # Of rows it knows: a category that it has not seen is no matter of parameters.
            fitted.predict(features)
        except Exception as error:  # noqa: BLE001 (what estimators raise is the answer)
            return _Refusal(error=error, fitted=fitted is not None)
    return None
