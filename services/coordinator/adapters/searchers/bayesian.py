"""Bayesian search: a Gaussian process on all the plan's results, and expected improvement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from services.coordinator.adapters.searchers.exploring import modelled_explore_share
from services.coordinator.adapters.searchers.repeats import forced_repeat
from services.coordinator.adapters.searchers.seeds import stage_seed
from services.coordinator.adapters.searchers.start_up import START_UP_TRIALS, start_up_point
from services.coordinator.ports import SearcherFailed, SearchTask
from services.core.digest import assignment_digest
from services.core.encoding import FloatArray, n_dims, neighbours
from services.core.estimates import with_estimates
from services.core.hull import hull_space
from services.core.modelling import ModelledSpace
from services.core.sampling import generator, is_explore, sample, sample_without_repeat
from services.core.searcher import Suggestion
from services.core.space import Assignment, SearchSpace
from services.core.trial import Trial, TrialState, ranked

if TYPE_CHECKING:
    from services.coordinator.adapters.searchers.gaussian_process import GaussianProcess

# The best say where to look, the latest what is known around there by now.
_MOST_BEST = 150
_MOST_RECENT = 150

_RANDOM_CANDIDATES = 500
_CENTRES = 5
_AROUND_BEST = ((0.2, 25), (0.05, 25), (0.01, 15))
_POLISH = ((0.05, 20), (0.01, 20))


@dataclass(slots=True)
class _Evidence:
    """Points as rows of the unit cube: those with a value, best first, and those still pending.

    `informative` counts those with a value that set every parameter this stage searches.
    """

    points: FloatArray
    values: FloatArray
    informative: int
    best: list[Assignment]
    pending: FloatArray


class BayesianSearcher:
    """Models the original space's hull; proposes inside the current, refined one.

    What the stage holds is an input of the model like the rest, and the same in all it proposes: trials
    of other stages teach it, whatever they searched. A point depends on the seed, its index and the trials known alone.
    """

    def __init__(self, task: SearchTask) -> None:
        self._bounds = hull_space(task.original_space)
        self._box = hull_space(task.space)
        self._modelled = ModelledSpace(task.modelling_space or task.original_space)
        self._explore_share = modelled_explore_share(task)
        self._seed = stage_seed(task)
        if n_dims(self._box) == 0:
            raise SearcherFailed(
                "no parameter has more than one value, so there is nothing to model"
            )

    def ask(self, *, count: int, first_index: int, known: Sequence[Trial]) -> Sequence[Suggestion]:
        """As in Searcher."""
        taken = {assignment_digest(trial.parameters) for trial in known}
        evidence = self._evidence(known)
        model: GaussianProcess | None = None
        suggestions: list[Suggestion] = []
        for index in range(first_index, first_index + count):
            if evidence.informative < START_UP_TRIALS:
                suggestion = start_up_point(
                    self._box,
                    self._modelled,
                    seed=self._seed,
                    index=index,
                    others=np.vstack([evidence.points, evidence.pending]),
                    taken=taken,
                )
            else:
                model = model or _fitted(evidence)
                model.pretend(evidence.pending)
                suggestion = self._improve(index, model, evidence.best, taken)
            if suggestion is None and index == 0:
                suggestion = forced_repeat(self._box, self._seed, known)
            if suggestion is None:
                break
            taken.add(assignment_digest(suggestion.parameters))
            row = self._modelled.rows([suggestion.parameters])
            evidence.pending = np.vstack([evidence.pending, row])
            suggestions.append(suggestion)
        return suggestions

    def _evidence(self, known: Sequence[Trial]) -> _Evidence:
        usable = [trial for trial in known if self._modelled.contains(trial.parameters)]
        best = ranked(with_estimates(usable))
        kept = best[:_MOST_BEST]
        rest = sorted(best[_MOST_BEST:], key=lambda trial: trial.number)
        kept += rest[-_MOST_RECENT:]
        pending = [trial.parameters for trial in usable if not trial.state.is_terminal]
        return _Evidence(
            points=self._modelled.rows([trial.parameters for trial in kept]),
            values=np.array(
                [trial.score for trial in kept if trial.state is TrialState.SUCCEEDED], dtype=float
            ),
            informative=sum(self._modelled.sets(trial.parameters, self._box) for trial in kept),
            best=[trial.parameters for trial in kept[:_CENTRES]],
            pending=self._modelled.rows(pending),
        )

    def _improve(
        self, index: int, model: GaussianProcess, best: Sequence[Assignment], taken: set[str]
    ) -> Suggestion | None:
        if is_explore(index, self._explore_share):
            point = self._most_promising(self._bounds, index, model, best, taken)
            if point is not None:
                return Suggestion(parameters=point, candidate_index=None, phase="explore")
        point = self._most_promising(self._box, index, model, best, taken)
        if point is None:
            return None
        return Suggestion(parameters=point, candidate_index=None, phase="model")

    def _most_promising(
        self,
        space: SearchSpace,
        index: int,
        model: GaussianProcess,
        best: Sequence[Assignment],
        taken: set[str],
    ) -> Assignment | None:
        rng = generator(self._seed, index, -2)
        points: list[Assignment] = [sample(space, rng) for _ in range(_RANDOM_CANDIDATES)]
        points += _around(space, best, rng, _AROUND_BEST)
        gains = self._gains(model, points)
        for step in _POLISH:
            centres = [points[place] for place in np.argsort(-gains, kind="stable")[:_CENTRES]]
            nearby = _around(space, centres, rng, [step])
            points += nearby
            gains = np.concatenate([gains, self._gains(model, nearby)])
        for place in np.argsort(-gains, kind="stable"):
            candidate = points[int(place)]
            if assignment_digest(candidate) not in taken:
                return candidate
        # Candidates repeat where a space has few points; one that is left may not be among them.
        return sample_without_repeat(space, self._seed, index, taken)

    def _gains(self, model: GaussianProcess, points: Sequence[Assignment]) -> FloatArray:
        return model.expected_improvement(self._modelled.rows(points))


def _fitted(evidence: _Evidence) -> GaussianProcess:
    # scikit-learn takes seconds to import; the start-up trials need not wait for it.
    from services.coordinator.adapters.searchers.gaussian_process import (  # noqa: PLC0415
        GaussianProcess,
    )

    return GaussianProcess(evidence.points, evidence.values)


def _around(
    space: SearchSpace,
    centres: Sequence[Assignment],
    rng: np.random.Generator,
    steps: Iterable[tuple[float, int]],
) -> list[Assignment]:
    return [
        point
        for scale, count in steps
        for centre in centres
        for point in neighbours(space, centre, rng, scale, count)
    ]
