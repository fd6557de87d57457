"""Refining alternatives, such as a list of grids: which of them a search goes on with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.core.hull import hull_space
from services.core.space import SearchSpace, alternative_at, contains
from services.core.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One of several alternatives.

    Attributes:
        place: of the alternative, from 0.
        original: the alternative as it was asked for.
        current: what was searched of it last.
        known: the trials that lie in the ranges it spans.
    """

    place: int
    original: SearchSpace
    current: SearchSpace
    known: tuple[Trial, ...]


def best_alternative(
    original: SearchSpace, current: SearchSpace, known: Iterable[Trial], best: Trial
) -> Branch:
    """Returns the alternative that the best trial comes from, the only one that is refined.

    Alternatives share no scale on which the best of one would say where to look in another.

    Args:
        original: of alternatives.
        current: the same alternatives as they were searched; or one of them, refined before.
        known: every trial of the plan for this model run.
    """
    point = best.parameters
    place = alternative_at(current, point) if current.alternatives else None
    if place is None:
        place = alternative_at(hull_space(original), point) or 0
    inside = hull_space(original.alternatives[place])
    if current.alternatives:
        current = current.alternatives[place]
    elif not contains(current, point):
        # The best was found by looking outside what was searched, in another alternative perhaps.
        current = inside
    return Branch(
        place=place,
        original=original.alternatives[place],
        current=current,
        known=tuple(each for each in known if contains(inside, each.parameters)),
    )
