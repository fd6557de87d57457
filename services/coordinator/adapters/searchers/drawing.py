"""Searching by a library's own searcher: it is told trials and draws points, the rest is done here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np

from services.coordinator.adapters.searchers.exploring import modelled_explore_share
from services.coordinator.adapters.searchers.per_trial import PerTrial
from services.coordinator.adapters.searchers.repeats import forced_repeat
from services.coordinator.adapters.searchers.seeds import stage_seed
from services.coordinator.adapters.searchers.start_up import START_UP_TRIALS, start_up_point
from services.coordinator.ports import SearcherFailed, SearchTask
from services.core.digest import assignment_digest
from services.core.encoding import n_dims, neighbours
from services.core.hull import hull_space
from services.core.modelling import ModelledSpace, held_values
from services.core.sampling import generator, is_explore, sample_without_repeat
from services.core.searcher import Suggestion
from services.core.space import Assignment, SearchSpace, contains
from services.core.trial import Trial, TrialState

# A repeat is looked for nearby, then drawn at random.
_NEARBY = 32
_NEARBY_SCALE = 0.05


class Estimator(Protocol):
    """A library's searcher over one space, told the trials in it."""

    def pretend(self, pending: Sequence[Assignment]) -> None:
        """Takes further points as pending; those told before come first and are not told again."""
        ...

    def draw(self, seed: int) -> Assignment:
        """Draws a promising point; may be one that is known. `seed` in 0 … 2³² − 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What differs between libraries.

    Attributes:
        history: picks what an estimator is told from all trials known, by number; those pending among
            them.
        estimator: makes one for a space from such trials, all of which lie in it.
        draws: how often a point that is known is drawn anew.
        learns_across: whether a trial of another stage teaches it what it searched of this one, with
            whatever that stage held; without, only trials with what this stage holds do.
    """

    history: Callable[[Sequence[Trial]], list[Trial]]
    estimator: Callable[[SearchSpace, Sequence[Trial]], Estimator]
    draws: int
    learns_across: bool


class DrawingSearcher:
    """Models the current, refined space on the trials that lie in it.

    What the stage holds an estimator need not see: a trial may teach it by what is searched. A share of
    a refined stage's suggestions (by default every third) models the original space instead, on all
    trials. A point depends on the seed, its index and the trials known alone.
    """

    def __init__(self, task: SearchTask, engine: Engine) -> None:
        self._engine = engine
        self._bounds = hull_space(task.original_space)
        self._box = hull_space(task.space)
        self._modelled = ModelledSpace(task.modelling_space or task.original_space)
        self._held = held_values(self._bounds) if engine.learns_across else {}
        self._explore_share = modelled_explore_share(task)
        self._seed = stage_seed(task)
        self._digests = PerTrial(lambda trial: assignment_digest(trial.parameters))
        self._lessons = {
            space: PerTrial(partial(_lesson, space=space, held=self._held))
            for space in (self._bounds, self._box)
        }
        if n_dims(self._box) == 0:
            raise SearcherFailed(
                "no parameter has more than one value, so there is nothing to model"
            )

    def ask(self, *, count: int, first_index: int, known: Sequence[Trial]) -> Sequence[Suggestion]:
        """As in Searcher."""
        asked = _Asked(
            engine=self._engine,
            history=self._engine.history(known),
            lessons=self._lessons,
            taken=set(self._digests.of(known)),
        )
        suggestions: list[Suggestion] = []
        for index in range(first_index, first_index + count):
            suggestion = None
            if is_explore(index, self._explore_share):
                suggestion = self._improve(asked, self._bounds, index, "explore")
            if suggestion is None:
                suggestion = self._improve(asked, self._box, index, "model")
            if suggestion is None:
                suggestion = self._start_up(asked, index)
            if suggestion is None and index == 0:
                suggestion = forced_repeat(self._box, self._seed, known)
            if suggestion is None:
                break
            asked.taken.add(assignment_digest(suggestion.parameters))
            asked.pending.append(suggestion.parameters)
            suggestions.append(suggestion)
        return suggestions

    def _start_up(self, asked: _Asked, index: int) -> Suggestion | None:
        tried = [*(each.parameters for each in asked.history), *asked.pending]
        others = [each for each in tried if self._modelled.contains(each)]
        return start_up_point(
            self._box,
            self._modelled,
            seed=self._seed,
            index=index,
            others=self._modelled.rows(others),
            taken=asked.taken,
        )

    def _improve(
        self, asked: _Asked, space: SearchSpace, index: int, phase: str
    ) -> Suggestion | None:
        """The model's point of a space; None where too little is known, or the space is used up."""
        model = asked.model(space)
        if model is None:
            return None
        model.pretend([each for each in asked.pending if contains(space, each)])
        point: Assignment = {}
        for attempt in range(self._engine.draws):
            point = model.draw(_draw_seed(self._seed, index, attempt))
            if contains(space, point) and assignment_digest(point) not in asked.taken:
                return Suggestion(parameters=point, candidate_index=None, phase=phase)
        other = self._untried(space, index, point, asked.taken)
        if other is None:
            return None
        return Suggestion(parameters=other, candidate_index=None, phase=phase)

    def _untried(
        self, space: SearchSpace, index: int, point: Assignment, taken: set[str]
    ) -> Assignment | None:
        """A point near one that is taken; another one where all near it are taken too."""
        rng = generator(self._seed, index, -5)
        for each in neighbours(space, point, rng, _NEARBY_SCALE, _NEARBY):
            if assignment_digest(each) not in taken:
                return each
        return sample_without_repeat(space, self._seed, index, taken)


@dataclass(slots=True)
class _Asked:
    """What one call knows, and the models made for it."""

    engine: Engine
    history: list[Trial]
    lessons: dict[SearchSpace, PerTrial[Trial]]
    taken: set[str]
    pending: list[Assignment] = field(default_factory=list)
    models: dict[SearchSpace, Estimator | None] = field(default_factory=dict)

    def model(self, space: SearchSpace) -> Estimator | None:
        """The model of a space; None while too few of its points have a score."""
        if space not in self.models:
            inside = self.lessons[space].of(self.history)
            scored = sum(each.state is TrialState.SUCCEEDED for each in inside)
            self.models[space] = (
                self.engine.estimator(space, inside) if scored >= START_UP_TRIALS else None
            )
        return self.models[space]


def _lesson(trial: Trial, *, space: SearchSpace, held: Assignment) -> Trial | None:
    """The trial as if its stage had held what this one holds; None where it lies outside the space."""
    if held:
        names = space.names
        searched = {name: each for name, each in trial.parameters.items() if name in names}
        trial = replace(trial, parameters={**searched, **held})
    return trial if contains(space, trial.parameters) else None


def _draw_seed(seed: int, index: int, attempt: int) -> int:
    return int(generator(seed, index, -3 - 16 * (attempt + 1)).integers(np.iinfo(np.uint32).max))
