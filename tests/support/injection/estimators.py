"""Estimators that misbehave at chosen values: GaussianNB by `var_smoothing`, Ridge by `alpha`."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import itertools
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support.injection.misbehaviour import WAYS

# Values of GaussianNB's `var_smoothing`. No test that wants a fit smooths so much.
WAY_BY_SMOOTHING = {1000.0 + place: way for place, way in enumerate(WAYS)}
SCORE_BY_SMOOTHING = {1100.0: math.nan, 1101.0: math.inf, 1102.0: -math.inf}

# Values of Ridge's `alpha` with predictions for which a scorer finds no number, and in one fold alone.
HUGE_PREDICTIONS = (0.601, 0.602)
ONE_HUGE_FOLD = 0.603


def install() -> None:
    """Changes the estimators once somebody imports them."""
    sys.meta_path.insert(
        0,
        _Patching(
            {
                "sklearn.naive_bayes": _patch_naive_bayes,
                "sklearn.linear_model._ridge": _patch_ridge,
                "sklearn.metrics._scorer": _patch_scorer,
            }
        ),
    )


class _Patching(importlib.abc.MetaPathFinder):
    def __init__(self, patches: dict[str, Callable[[ModuleType], None]]) -> None:
        self._patches = patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        patch = self._patches.get(fullname)
        if patch is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            patch(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # (that is the patch)
        return spec


def _patch_naive_bayes(module: ModuleType) -> None:
    real = module.GaussianNB.fit

    def fit(self: Any, *arguments: Any, **named: Any) -> Any:
        way = WAY_BY_SMOOTHING.get(self.var_smoothing)
        if way is not None:
            _give_sign(way.__name__)
            way()
        return real(self, *arguments, **named)

    module.GaussianNB.fit = fit


def _patch_scorer(module: ModuleType) -> None:
    real = module._Scorer._score

    def score(self: Any, caller: Any, estimator: Any, *rest: Any, **named: Any) -> Any:
        wrong = SCORE_BY_SMOOTHING.get(getattr(estimator, "var_smoothing", 0.0))
        return real(self, caller, estimator, *rest, **named) if wrong is None else wrong

    module._Scorer._score = score


def _patch_ridge(module: ModuleType) -> None:
    real = module.Ridge.predict
    predictions = itertools.count()

    def predict(self: Any, features: Any) -> Any:
        found = real(self, features)
        if self.alpha in HUGE_PREDICTIONS or (
            self.alpha == ONE_HUGE_FOLD and next(predictions) % 3 == 1
        ):
            # Squares of these are infinite, and their variance is not a number.
            found[::2], found[1::2] = 1e308, -1e308
        return found

    module.Ridge.predict = predict


def _give_sign(way: str) -> None:
    # In the worker's log.
    os.write(2, f"misbehaving: {way}\n".encode())
    folder = os.environ.get("FAULTS_SIGNS")
    if folder:
        Path(folder, f"child-{os.getpid()}.sign").touch()
