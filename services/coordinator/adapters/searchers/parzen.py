"""Optuna's TPE over one space, told trials and asked for points."""

from __future__ import annotations

from collections.abc import Sequence

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
from services.core.space import Assignment, SearchSpace
from services.core.trial import Trial, TrialState


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
        self._distributions = {name: _distribution(axis) for name, axis in axes_of(space).items()}
        # Its messages are for people at a notebook.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize")
        self._study.add_trials([self._told(each) for each in trials])
        self._pretended = 0

    def pretend(self, pending: Sequence[Assignment]) -> None:
        """Takes further points as pending; those told before come first and are not told again."""
        for each in pending[self._pretended :]:
            self._study.add_trial(self._frozen(each, optuna.trial.TrialState.RUNNING, None))
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

    def _told(self, trial: Trial) -> optuna.trial.FrozenTrial:
        if trial.state is TrialState.SUCCEEDED:
            state = optuna.trial.TrialState.COMPLETE
        elif trial.state is TrialState.PRUNED:
            state = optuna.trial.TrialState.PRUNED
        else:
            state = optuna.trial.TrialState.RUNNING
        return self._frozen(trial.parameters, state, trial.score)

    def _frozen(
        self, point: Assignment, state: optuna.trial.TrialState, value: float | None
    ) -> optuna.trial.FrozenTrial:
        return optuna.trial.create_trial(
            state=state,
            value=value if state is optuna.trial.TrialState.COMPLETE else None,
            params=to_row(self._space, point),
            distributions=self._distributions,
        )


def _distribution(axis: Axis) -> BaseDistribution:
    match axis:
        case Category(size=size):
            return CategoricalDistribution(range(size))
        case Lattice(low=low, high=high, log=log):
            return IntDistribution(low, high, log=log)
        case _:
            return FloatDistribution(0.0, 1.0)
