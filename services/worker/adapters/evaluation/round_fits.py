"""Fits that stand still between rounds, so that what they have learnt by then can be scored.

A fit that is made in parts is the fit that is made in one piece: to the last digit where nothing but the
number of rounds ends it. scikit-learn's ensembles promise that of `warm_start`. XGBoost's and LightGBM's do
not (random numbers begin anew whenever a fit goes on), so theirs is one fit that waits in a thread.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import numpy.typing as npt
import sklearn

from services.worker.adapters.evaluation.estimators import Estimator


class RoundFit(Protocol):
    """One fit, a few rounds at a time."""

    def advance(self, rounds: int) -> Estimator:
        """Makes rounds until there are so many, more than before and fewer than all.

        Returns: an estimator that predicts by these rounds, until the fit goes on.

        Raises: whatever the fit raises.
        """
        ...

    def finish(self) -> Estimator:
        """Makes all rounds. Returns: the fitted estimator."""
        ...

    def close(self) -> None:
        """Gives up what is not finished."""
        ...


def round_fit(
    model: Estimator,
    features: Any,
    target: npt.NDArray[Any],
    arguments: Mapping[str, Any],
    *,
    parameter: str,
    rounds: int,
) -> RoundFit:
    """Prepares the fit of an unfitted model.

    Args:
        arguments: of `fit`, beside features and target.
        parameter: the parameter that counts the rounds.
        rounds: of the whole fit, ≥ 1.
    """
    library = type(model).__mro__
    if any(each.__module__.startswith("xgboost.") for each in library):
        return _XGBoostFit(model, features, target, arguments)
    if any(each.__module__.startswith("lightgbm.") for each in library):
        return _LightGBMFit(model, features, target, arguments)
    return _WarmFit(model, features, target, arguments, parameter=parameter, rounds=rounds)


class _WarmFit:
    """scikit-learn's: each part is a fit that keeps the trees there are."""

    def __init__(
        self,
        model: Estimator,
        features: Any,
        target: npt.NDArray[Any],
        arguments: Mapping[str, Any],
        *,
        parameter: str,
        rounds: int,
    ) -> None:
        self._model = model.set_params(warm_start=True)
        self._features = features
        self._target = target
        self._arguments = dict(arguments)
        self._parameter = parameter
        self._rounds = rounds
        self._checked = False

    def advance(self, rounds: int) -> Estimator:
        self._model.set_params(**{self._parameter: rounds})
        # scikit-learn validates parameters at each fit; only the rounds change between the parts.
        with sklearn.config_context(skip_parameter_validation=self._checked):
            self._model.fit(self._features, self._target, **self._arguments)
        self._checked = True
        return self._model

    def finish(self) -> Estimator:
        return self.advance(self._rounds)

    def close(self) -> None:
        """Nothing waits."""


class _GivenUp(Exception):
    """Ends a fit that nobody waits for any more."""


class _PausedFit:
    """A fit in a thread of its own, which waits after the round that was asked for.

    Only one of the two threads runs at any time.
    """

    def __init__(
        self,
        model: Estimator,
        features: Any,
        target: npt.NDArray[Any],
        arguments: Mapping[str, Any],
    ) -> None:
        self._model = model
        self._features = features
        self._target = target
        self._arguments = dict(arguments)
        self._until: int | None = 0
        self._booster: Any = None
        self._error: BaseException | None = None
        self._given_up = False
        self._ended = False
        self._goes = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def advance(self, rounds: int) -> Estimator:
        self._go(rounds)
        return self._model if self._ended else self._seen()

    def finish(self) -> Estimator:
        self._go(None)
        return self._model

    def close(self) -> None:
        self._given_up = True
        if self._thread.is_alive():
            self._goes.release()
            self._thread.join()

    def _go(self, until: int | None) -> None:
        self._until = until
        if not self._thread.is_alive() and not self._ended:
            self._thread.start()
        self._goes.release()
        self._stands.acquire()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        self._goes.acquire()
        try:
            if not self._given_up:
                with suppress(_GivenUp):
                    self._fit()
        except BaseException as error:  # noqa: BLE001 (raised again where the fit is waited for)
            self._error = error
        finally:
            self._ended = True
            self._stands.release()

    def _made(self, booster: Any, rounds: int) -> None:
        """Waits where the round that was asked for is made."""
        if self._until is not None and rounds >= self._until:
            self._booster = booster
            self._stands.release()
            self._goes.acquire()
        if self._given_up:
            raise _GivenUp

    def _fit(self) -> None:
        raise NotImplementedError

    def _seen(self) -> Estimator:
        """Gives the model as if the fit had ended where it stands."""
        raise NotImplementedError


class _XGBoostFit(_PausedFit):
    def _fit(self) -> None:
        from xgboost.callback import TrainingCallback  # noqa: PLC0415 (an extra, as all of XGBoost)

        made = self._made

        class _Pause(TrainingCallback):
            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                del evals_log
                made(model, epoch + 1)
                return False

        self._model.set_params(callbacks=[_Pause()])
        self._model.fit(self._features, self._target, **self._arguments)

    def _seen(self) -> Estimator:
        seen = copy.copy(self._model)
        vars(seen)["_Booster"] = self._booster
        if hasattr(seen, "name_classes"):
            seen.name_classes(self._target)
        return seen


class _LightGBMFit(_PausedFit):
    def _fit(self) -> None:
        def pause(environment: Any) -> None:
            self._made(environment.model, environment.iteration + 1)

        self._model.fit(self._features, self._target, callbacks=[pause], **self._arguments)

    def _seen(self) -> Estimator:
        seen = copy.copy(self._model)
        # What its own `fit` sets when it ends.
        vars(seen).update(
            _Booster=self._booster,
            _n_features=self._booster.num_feature(),
            _best_iteration=0,
            fitted_=True,
        )
        return seen
