"""Bayesian search: a Gaussian process on all the plan's results, and expected improvement."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from services.coordinator.adapters.searchers.exploring import modelled_explore_share
from services.coordinator.adapters.searchers.per_trial import PerTrial
from services.coordinator.adapters.searchers.repeats import forced_repeat
from services.coordinator.adapters.searchers.seeds import stage_seed
from services.coordinator.adapters.searchers.start_up import START_UP_TRIALS, start_up_point
from services.coordinator.ports import SearcherFailed, SearchTask
from services.core.digest import assignment_digest
from services.core.encoding import FloatArray, blocks, n_dims, neighbours
from services.core.estimates import with_estimates
from services.core.hull import hull_space
from services.core.modelling import ModelledSpace
from services.core.sampling import generator, is_explore, sample, sample_without_repeat
from services.core.searcher import Suggestion
from services.core.space import Assignment, SearchSpace
from services.core.trial import Trial, ranked
from services.core.wide_ranges import wide_ranges, with_logarithmic

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
    """Points with a score, best first, and those still pending.

    `informative` counts those with a score that set every parameter this stage searches.
    """

    points: list[Assignment]
    scores: FloatArray
    informative: int
    pending: list[Assignment]


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """The spaces on one choice of scales; the points are the same on all.

    Attributes:
        modelled: what the model sees.
        bounds: the original space.
        box: the part of it that is searched.
    """

    modelled: ModelledSpace
    bounds: SearchSpace
    box: SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A Gaussian process on one view's unit cube."""

    view: _View
    process: GaussianProcess

    def pretend(self, pending: Sequence[Assignment]) -> None:
        self.process.pretend(self.view.modelled.rows(pending))

    def gains(self, points: Sequence[Assignment]) -> FloatArray:
        return self.process.log_expected_improvement(self.view.modelled.rows(points))


class BayesianSearcher:
    """Models the original space's hull; proposes inside the current, refined one.

    What the stage holds is an input of the model like the rest, and the same in all it proposes: trials
    of other stages teach it, whatever they searched.

    Where linear ranges reach over orders of magnitude, every other point is found on a logarithmic scale: a
    model on one scale sees no room for what is better on the other, and the points it asks for bear it out.
    A point depends on the seed, its index and the trials known alone.
    """

    def __init__(self, task: SearchTask) -> None:
        bounds = hull_space(task.original_space)
        self._box = hull_space(task.space)
        modelled = ModelledSpace(task.modelling_space or task.original_space)
        self._views = _views(modelled, bounds, self._box)
        self._explore_share = modelled_explore_share(task)
        self._seed = stage_seed(task)
        self._digests = PerTrial(lambda trial: assignment_digest(trial.parameters))
        if n_dims(self._box) == 0:
            raise SearcherFailed(
                "no parameter has more than one value, so there is nothing to model"
            )

    def ask(self, *, count: int, first_index: int, known: Sequence[Trial]) -> Sequence[Suggestion]:
        """As in Searcher."""
        taken = set(self._digests.of(known))
        evidence = self._evidence(known)
        models: dict[int, _Model] = {}
        suggestions: list[Suggestion] = []
        for index in range(first_index, first_index + count):
            turn = index % len(self._views)
            if evidence.informative < START_UP_TRIALS:
                suggestion = self._start_up(self._views[turn], index, evidence, taken)
            else:
                model = models.get(turn) or self._fitted(self._views[turn], evidence)
                models[turn] = model
                model.pretend(evidence.pending)
                suggestion = self._improve(index, model, evidence.points[:_CENTRES], taken)
            if suggestion is None and index == 0:
                suggestion = forced_repeat(self._box, self._seed, known)
            if suggestion is None:
                break
            taken.add(assignment_digest(suggestion.parameters))
            evidence.pending.append(suggestion.parameters)
            suggestions.append(suggestion)
        return suggestions

    def _evidence(self, known: Sequence[Trial]) -> _Evidence:
        modelled = self._views[0].modelled
        usable = [trial for trial in known if modelled.contains(trial.parameters)]
        best = ranked(with_estimates(usable))
        kept = best[:_MOST_BEST]
        rest = sorted(best[_MOST_BEST:], key=lambda trial: trial.number)
        kept += rest[-_MOST_RECENT:]
        return _Evidence(
            points=[trial.parameters for trial in kept],
            scores=np.array([trial.score for trial in kept], dtype=float),
            informative=sum(modelled.sets(trial.parameters, self._box) for trial in kept),
            pending=[trial.parameters for trial in usable if not trial.state.is_terminal],
        )

    def _start_up(
        self, view: _View, index: int, evidence: _Evidence, taken: set[str]
    ) -> Suggestion | None:
        return start_up_point(
            view.box,
            view.modelled,
            seed=self._seed,
            index=index,
            others=view.modelled.rows([*evidence.points, *evidence.pending]),
            taken=taken,
        )

    def _fitted(self, view: _View, evidence: _Evidence) -> _Model:
        # What it imports takes a while; the start-up trials need not wait for it.
        from services.coordinator.adapters.searchers.gaussian_process import (  # noqa: PLC0415 (see above)
            GaussianProcess,
        )

        process = GaussianProcess(
            view.modelled.rows(evidence.points), evidence.scores, blocks(view.modelled.space)
        )
        return _Model(view=view, process=process)

    def _improve(
        self, index: int, model: _Model, best: Sequence[Assignment], taken: set[str]
    ) -> Suggestion | None:
        if is_explore(index, self._explore_share):
            point = self._most_promising(model.view.bounds, index, model, best, taken)
            if point is not None:
                return Suggestion(parameters=point, candidate_index=None, phase="explore")
        point = self._most_promising(model.view.box, index, model, best, taken)
        if point is None:
            return None
        return Suggestion(parameters=point, candidate_index=None, phase="model")

    def _most_promising(
        self,
        space: SearchSpace,
        index: int,
        model: _Model,
        best: Sequence[Assignment],
        taken: set[str],
    ) -> Assignment | None:
        rng = generator(self._seed, index, -2)
        points: list[Assignment] = [sample(space, rng) for _ in range(_RANDOM_CANDIDATES)]
        points += _around(space, best, rng, _AROUND_BEST)
        gains = model.gains(points)
        for step in _POLISH:
            centres = [points[place] for place in np.argsort(-gains, kind="stable")[:_CENTRES]]
            nearby = _around(space, centres, rng, [step])
            points += nearby
            gains = np.concatenate([gains, model.gains(nearby)])
        point = _first_untried(points, gains, taken)
        if point is not None:
            return point
        # Candidates repeat where a space has few points; one that is left may not be among them.
        return sample_without_repeat(space, self._seed, index, taken)


def _views(modelled: ModelledSpace, bounds: SearchSpace, box: SearchSpace) -> list[_View]:
    """The scales to model on, as asked for first."""
    views = [_View(modelled=modelled, bounds=bounds, box=box)]
    if wide := wide_ranges(bounds):
        views.append(
            _View(
                modelled=ModelledSpace(with_logarithmic(modelled.space, wide)),
                bounds=with_logarithmic(bounds, wide),
                box=with_logarithmic(box, wide),
            )
        )
    return views


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


def _first_untried(
    points: Sequence[Assignment], gains: FloatArray, taken: Container[str]
) -> Assignment | None:
    for place in np.argsort(-gains, kind="stable"):
        point = points[int(place)]
        if assignment_digest(point) not in taken:
            return point
    return None
