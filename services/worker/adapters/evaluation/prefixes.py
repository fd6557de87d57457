"""Leaving out of a pipeline what was already done to a fold: scores are those of the whole pipeline."""

from __future__ import annotations

import time
from collections.abc import Collection, Hashable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from services.worker.adapters.evaluation.estimators import Estimator
from services.worker.adapters.evaluation.fingerprints import NoFingerprint, fingerprint
from services.worker.adapters.evaluation.folds import Fold
from services.worker.adapters.evaluation.prefix_cache import PrefixCache, Transformed

_PASSED = "passthrough"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ready:
    """An unfitted estimator and the data it is to be fitted and scored on.

    Attributes:
        shares: whether the data is the cache's, so that nobody may write to it.
        fit_seconds: what fitting and applying steps to the training part took to get here.
        score_seconds: what applying them to the test part took.
    """

    estimator: Estimator
    fold: Fold
    shares: bool = False
    fit_seconds: float = 0.0
    score_seconds: float = 0.0


class PrefixedCandidate:
    """One candidate's pipeline, without those leading steps whose output is kept.

    Kept is what the steps have made where a step comes next that trials change, and in the end: other
    candidates with the same values share it. Steps that do not do the same each time, or write to
    their input, are run for each fold, and so are those behind them.

    Args:
        candidate: an unfitted estimator; anything but a Pipeline has no steps.
        varied: the names of the pipeline's steps that trials set parameters of.
    """

    def __init__(self, candidate: Estimator, varied: Collection[str], cache: PrefixCache) -> None:
        self._candidate = candidate
        self._cache = cache
        self._marks: tuple[Hashable, ...] = ()
        self._stops: tuple[int, ...] = ()
        if cache.is_on and isinstance(candidate, Pipeline):
            cache.begin_trial()
            self._marks = _marks(candidate)
            self._stops = _stops(candidate, len(self._marks), varied)

    def whole(self, fold: Fold) -> Ready:
        """Gives all of the pipeline, and the fold as it is."""
        return Ready(estimator=clone(self._candidate), fold=fold)

    def ready(self, fold: Fold) -> Ready:
        """Gives what is left of the pipeline, and what the steps before it made of the fold.

        Steps that fail are left to the pipeline, which fails with the same words in the right order.
        """
        if not self._stops or fold.key is None:
            return self.whole(fold)
        started = time.perf_counter()
        with suppress(Exception):
            try:
                return self._shortened(fold)
            except MemoryError:
                self._cache.clear()
        return replace(self.whole(fold), fit_seconds=time.perf_counter() - started)

    def can_do_better(self, error: Exception, ready: Ready) -> bool:
        """Whether an estimator failed only because of what is kept; if so, this candidate shares no more."""
        if not ready.shares:
            return False
        if isinstance(error, MemoryError):
            self._cache.clear()
        elif not isinstance(error, ValueError) or "read-only" not in str(error):
            return False
        self._stops = ()
        return True

    def _shortened(self, fold: Fold) -> Ready:
        started, testing = time.perf_counter(), 0.0
        done, made = self._longest(fold)
        reused = done
        for stop in self._stops:
            for _, step in self._candidate.steps[done:stop]:
                if step in (None, _PASSED):
                    continue
                train, transformer = _fitted(step, made.train, fold)
                fitted = time.perf_counter()
                made = Transformed(train=train, test=transformer.transform(made.test))
                testing += time.perf_counter() - fitted
            if stop > done:
                made = self._cache.put((fold.key, self._marks[:stop]), made)
                done = stop
        self._cache.count(reused=reused, fitted=done - reused)
        steps = self._candidate.steps
        rest = [(name, _PASSED) for name, _ in steps[:done]]
        rest += [(name, clone(step)) for name, step in steps[done:]]
        return Ready(
            # With the same names: messages and parameters of `fit` are the whole pipeline's.
            estimator=Pipeline(rest),
            fold=replace(fold, train_features=made.train, test_features=made.test),
            shares=True,
            fit_seconds=time.perf_counter() - started - testing,
            score_seconds=testing,
        )

    def _longest(self, fold: Fold) -> tuple[int, Transformed]:
        for stop in reversed(self._stops):
            kept = self._cache.get((fold.key, self._marks[:stop]))
            if kept is not None:
                return stop, kept
        return 0, Transformed(train=fold.train_features, test=fold.test_features)


def _marks(candidate: Any) -> tuple[Hashable, ...]:
    """Sums up the leading steps that can be shared, in order."""
    found: list[Hashable] = []
    for _, step in candidate.steps[:-1]:
        try:
            found.append(fingerprint(step))
        except NoFingerprint:
            break
    return tuple(found)


def _stops(candidate: Any, known: int, varied: Collection[str]) -> tuple[int, ...]:
    """Lists after how many steps output is kept, ascending."""
    names = [name for name, _ in candidate.steps]
    before_varied = {index for index in range(1, known) if names[index] in varied}
    return tuple(sorted(before_varied | ({known} if known else set())))


def _fitted(step: Any, features: Any, fold: Fold) -> tuple[Any, Any]:
    """Fits a step as a Pipeline does. Returns: its output, and the fitted transformer."""
    transformer = clone(step)
    if hasattr(transformer, "fit_transform"):
        return transformer.fit_transform(features, fold.train_target), transformer
    return transformer.fit(features, fold.train_target).transform(features), transformer
