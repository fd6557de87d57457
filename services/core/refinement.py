"""Refinement: the next stage's space from the results of the stages before, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.core.hull import hull_space
from services.core.narrowing import Neighbourhood, narrowed
from services.core.plan import GRID_SEARCH
from services.core.refinement_rules import rule_for
from services.core.refinement_text import explain, summarise_refinement
from services.core.space import (
    Choices,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    cardinality,
    contains,
    domain_contains,
    is_member,
    parameter_contains,
    parameter_size,
)
from services.core.trial import Trial, ranked

MAX_EVIDENCE: Final = 1_000
"""Evidence trials named in a record; all of them count, however many are tied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRefinement:
    """What happened to one parameter; `rule` is one of RULES, `explanation` one sentence for people."""

    name: str
    before: Parameter
    after: Parameter
    rule: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """How one space was made from another.

    Attributes:
        refinement_id: 1, 2, … within the orchestration; 0 until stored.
        evidence_trial_numbers: trials it rests on, best first; at most MAX_EVIDENCE are named.
    """

    refinement_id: int = 0
    orchestration_id: str = ""
    source_tuning_run_id: str = ""
    target_tuning_run_id: str = ""
    refinement_factor: float
    evidence_trial_numbers: tuple[int, ...]
    best_trial_number: int
    parameters: tuple[ParameterRefinement, ...]
    space_before: SearchSpace
    space_after: SearchSpace
    summary: str


def refine(
    space_original: SearchSpace,
    space_current: SearchSpace,
    trials: Iterable[Trial],
    factor: float,
    *,
    source_method: str,
    orchestration_id: str = "",
    source_tuning_run_id: str = "",
    target_tuning_run_id: str = "",
) -> Refinement:
    """Makes the next stage's space from the results so far.

    A number is searched around the best one: on either side by `factor` × the spread of the top
    trials, at least as far as the next grid value (after a grid stage) or as the typical gap between
    random points (after others), on the parameter's scale. Other values stay when a top trial has
    them. The result lies inside the original space and keeps two points or more if that had them.

    Args:
        space_original: the space as it was asked for; its grids count as the ranges they span.
        space_current: the space of the stage that ended.
        trials: every trial of the plan for this model run; only SUCCEEDED ones are evidence.
        factor: in (0, 1]; smaller is narrower.
        source_method: the method of the stage that ended.

    Raises: ValueError: no trial succeeded, or `factor` is outside (0, 1].
    """
    if not 0 < factor <= 1:
        raise ValueError(f"refinement factor {factor} is outside (0, 1]")
    known = tuple(trials)
    evidence = ranked(known)
    if not evidence:
        raise ValueError("a refinement needs a SUCCEEDED trial")
    original = hull_space(space_original)
    before = {each.name: each for each in hull_space(space_current).parameters}
    top = top_set(evidence)
    neighbourhood = Neighbourhood(
        factor=factor,
        evidence_count=len(evidence),
        searched_count=sum(parameter_size(each) != 1 for each in original.parameters),
        tried=tuple(each for each in known if each.state.is_terminal)
        if source_method == GRID_SEARCH
        else None,
    )
    after = SearchSpace(
        parameters=tuple(
            _refined(each, before.get(each.name, each), top, neighbourhood)
            for each in original.parameters
        )
    )
    after = _with_two_points(original, after, evidence)
    parameters = tuple(
        _described(before.get(new.name, old), new, top)
        for old, new in zip(original.parameters, after.parameters, strict=True)
    )
    return Refinement(
        orchestration_id=orchestration_id,
        source_tuning_run_id=source_tuning_run_id,
        target_tuning_run_id=target_tuning_run_id,
        refinement_factor=factor,
        evidence_trial_numbers=tuple(each.number for each in top[:MAX_EVIDENCE]),
        best_trial_number=evidence[0].number,
        parameters=parameters,
        space_before=SearchSpace.of(each.before for each in parameters),
        space_after=after,
        summary=summarise_refinement(
            [(each.before, each.after) for each in parameters], top, len(evidence)
        ),
    )


def top_set(evidence: Sequence[Trial]) -> list[Trial]:
    """Returns the top trials of a ranked list: a tenth, at least 3 and at most 10, and all ties.

    Every trial with the score of the last one belongs to it too.
    """
    count = min(max(math.ceil(len(evidence) / 10), 3), 10, len(evidence))
    top = list(evidence[:count])
    top += [each for each in evidence[count:] if each.score == top[-1].score]
    return top


def _refined(
    original: Parameter, current: Parameter, top: Sequence[Trial], neighbourhood: Neighbourhood
) -> Parameter:
    values = [each.parameters[original.name] for each in top if original.name in each.parameters]
    domain = original.domain
    if not values:
        return current
    if isinstance(domain, Choices):
        kept = tuple(each for each in domain.values if is_member(each, values))
        return replace(original, domain=Choices(values=kept)) if kept else current
    if not isinstance(domain, IntRange | FloatRange):
        return original
    specials = tuple(each for each in original.specials if is_member(each, values))
    numbers = [
        each for each in values if isinstance(each, int | float) and domain_contains(domain, each)
    ]
    if not numbers:
        return (
            Parameter(name=original.name, domain=Choices(values=specials)) if specials else current
        )
    searched = current.domain if isinstance(current.domain, IntRange | FloatRange) else domain
    return Parameter(
        name=original.name,
        domain=narrowed(original.name, domain, searched, numbers, neighbourhood),
        specials=specials,
    )


def _with_two_points(
    original: SearchSpace, after: SearchSpace, evidence: Sequence[Trial]
) -> SearchSpace:
    """Keeps a space that came down to one point searchable, unless the original was one point."""
    if cardinality(after) != 1 or cardinality(original) == 1:
        return after
    others = (each.parameters for each in evidence if not contains(after, each.parameters))
    following = next(others, None)
    if following is not None:
        return SearchSpace(
            parameters=tuple(
                _grown(old, new, following.get(old.name))
                for old, new in zip(original.parameters, after.parameters, strict=True)
            )
        )
    # Every success was at the same point: nothing says which other values are worth a trial.
    searched = next(each for each in original.parameters if parameter_size(each) != 1)
    return SearchSpace(
        parameters=tuple(
            searched if each.name == searched.name else each for each in after.parameters
        )
    )


def _grown(original: Parameter, after: Parameter, value: Value) -> Parameter:
    """Adds a value of the original parameter to what is left of it."""
    if parameter_contains(after, value) or not parameter_contains(original, value):
        return after
    if isinstance(original.domain, Choices) and isinstance(after.domain, Choices):
        kept = after.domain.values
        values = tuple(each for each in original.domain.values if is_member(each, (*kept, value)))
        return replace(after, domain=Choices(values=values))
    if isinstance(after.domain, Choices) and is_member(value, original.specials):
        values = tuple(
            each for each in original.specials if is_member(each, (*after.domain.values, value))
        )
        return replace(after, domain=Choices(values=values))
    return original


def _described(before: Parameter, after: Parameter, top: Sequence[Trial]) -> ParameterRefinement:
    return ParameterRefinement(
        name=before.name,
        before=before,
        after=after,
        rule=rule_for(before, after),
        explanation=explain(before, after, top),
    )
