"""Optuna's TPE over one space, told trials and asked for points."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from services.coordinator.adapters.searchers.axes import (
    Axis,
    Category,
    Lattice,
    axes_of,
    from_row,
    to_row,
)
from services.coordinator.adapters.searchers.per_trial import PerTrial
from services.core.space import Assignment, SearchSpace
from services.core.trial import Trial, TrialState

# When a trial began and ended is nothing to the estimator, but Optuna wants to know.
_LONG_AGO = datetime(2000, 1, 1)  # noqa: DTZ001 (as Optuna has them)
# A search models at most two: the one it searches and the one it explores.
_KEPT_SPACES = 4


class ParzenEstimator:
    """Tree-structured Parzen estimator (Bergstra et al. 2011; multivariate: Falkner et al. 2018).

    Deterministic: the same trials in the same order and the same seed give the same point. Pending
    trials count as bad ones, Optuna's constant liar, so that points asked for together differ.

    Args:
        space: what is searched; every trial lies in it.
        trials: SUCCEEDED with a finite score, PRUNED, or pending; by number, for older ones weigh less.
    """

    def __init__(self, space: SearchSpace, trials: Sequence[Trial]) -> None:
        self._space = space
        self._distributions = _distributions(space)
        # Its messages are for people at a notebook.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize")
        self._study.add_trials(_told_of(space).of(trials))
        self._pretended = 0

    def pretend(self, pending: Sequence[Assignment]) -> None:
        """Takes further points as pending; those told before come first and are not told again."""
        for each in pending[self._pretended :]:
            self._study.add_trial(
                _frozen(
                    self._space, self._distributions, each, optuna.trial.TrialState.RUNNING, None
                )
            )
        self._pretended = len(pending)

    def draw(self, seed: int) -> Assignment:
        """Draws the most promising of a few points; may be one that is known. `seed` in 0 … 2³² − 1."""
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=0, multivariate=True, constant_liar=True, seed=seed
        )
        asked = self._study.ask(self._distributions)
        # Failed trials say nothing: whether the point is taken is not for Optuna to know.
        self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        return from_row(self._space, asked.params)


class _ToldTrial(optuna.trial.FrozenTrial):
    """A trial that nobody changes: a study that takes a deep copy of it gets a shallow one.

    Deep copies of a thousand trials' parameters and distributions took longer than all the sampling.
    """

    def __deepcopy__(self, _: dict[int, Any]) -> _ToldTrial:
        return copy.copy(self)


def _told(
    space: SearchSpace, distributions: dict[str, BaseDistribution], trial: Trial
) -> optuna.trial.FrozenTrial:
    if trial.state is TrialState.SUCCEEDED:
        state = optuna.trial.TrialState.COMPLETE
    elif trial.state is TrialState.PRUNED:
        state = optuna.trial.TrialState.PRUNED
    else:
        state = optuna.trial.TrialState.RUNNING
    return _frozen(space, distributions, trial.parameters, state, trial.score)


def _frozen(
    space: SearchSpace,
    distributions: dict[str, BaseDistribution],
    point: Assignment,
    state: optuna.trial.TrialState,
    value: float | None,
) -> optuna.trial.FrozenTrial:
    return _ToldTrial(
        number=-1,
        trial_id=-1,
        state=state,
        value=value if state is optuna.trial.TrialState.COMPLETE else None,
        datetime_start=_LONG_AGO,
        datetime_complete=None if state is optuna.trial.TrialState.RUNNING else _LONG_AGO,
        params=to_row(space, point),
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    return {name: _distribution(axis) for name, axis in axes_of(space).items()}


def _distribution(axis: Axis) -> BaseDistribution:
    match axis:
        case Category(size=size):
            return CategoricalDistribution(range(size))
        case Lattice(low=low, high=high, log=log):
            return IntDistribution(low, high, log=log)
        case _:
            return FloatDistribution(0.0, 1.0)


@lru_cache(maxsize=_KEPT_SPACES)
def _told_of(space: SearchSpace) -> PerTrial[optuna.trial.FrozenTrial]:
    """What Optuna is told of the trials in a space; kept, for the next question tells them again."""
    distributions = _distributions(space)
    return PerTrial(lambda trial: _told(space, distributions, trial))
