"""Refinement: the next stage's space from the results of the stages before, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.core.hull import hull_space
from services.core.narrowing import Neighbourhood, effective_factor, narrowed, spread_share
from services.core.neighbourhood_box import box_around
from services.core.plan import GRID_SEARCH
from services.core.refinement_alternatives import best_alternative
from services.core.refinement_groups import with_constraints_met
from services.core.refinement_points import with_two_points
from services.core.refinement_rules import (
    ADAPTIVE,
    FIXED,
    HELD,
    NEAR,
    NO_REFINEMENT,
    UNCHANGED,
    rule_for,
)
from services.core.refinement_text import (
    explain,
    explain_adaptive,
    explain_held,
    explain_near,
    summarise_alternative,
    summarise_held,
    summarise_refinement,
)
from services.core.space import (
    Choices,
    Fixed,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    domain_contains,
    is_member,
    parameter_size,
)
from services.core.trial import Trial, TrialState, ranked

# Of a parameter that is not always active fewer top trials than this say nothing about its range.
_FEWEST_ACTIVE = 2

MAX_EVIDENCE: Final = 1_000
"""Evidence trials named in a record; all of them count, however many are tied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRefinement:
    """What happened to one parameter.

    Attributes:
        rule: one of RULES.
        explanation: one sentence for people.
        effective_factor: f' of an adaptive refinement, for a range; None elsewhere.
    """

    name: str
    before: Parameter
    after: Parameter
    rule: str
    explanation: str
    effective_factor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """How one space was made from another.

    Attributes:
        refinement_id: 1, 2, … within the orchestration; 0 until stored.
        rule: FIXED, ADAPTIVE or NEAR: how far ranges reach around the best; NO_REFINEMENT where they
            are as they were asked for.
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
    rule: str = FIXED


def refine(
    space_original: SearchSpace,
    space_current: SearchSpace,
    trials: Iterable[Trial],
    factor: float | None,
    *,
    source_method: str,
    rule: str = FIXED,
    orchestration_id: str = "",
    source_tuning_run_id: str = "",
    target_tuning_run_id: str = "",
) -> Refinement:
    """Makes the next stage's space from the results so far.

    A number is searched around the best one: on either side by `factor` × the spread of the top
    trials, at least as far as the next grid value (after a grid stage) or as the typical gap between
    random points (after others), on the parameter's scale. Other values stay when a top trial has
    them. The result lies inside the original space and keeps two points or more if that had them.
    Parameters that the best trial has and the original space has not are held at the best trial's values.
    A parameter with a condition goes by the top trials in which it was active, and stays where fewer
    than two were; ranges under a constraint are widened evenly until their numbers can meet it.
    Of alternatives, such as a list of grids, the one the best trial comes from is gone on with, on the
    trials that lie in it.

    Args:
        space_original: the space as it was asked for; its grids count as the ranges they span.
        space_current: the space of the stage that ended.
        trials: every trial of the plan for this model run; only SUCCEEDED ones are evidence.
        factor: in (0, 1]; smaller is narrower. None searches what `space_original` holds as it is.
        source_method: the method of the stage that ended.
        rule: FIXED, or ADAPTIVE: either side of the best is searched by f' × half the range searched
            last, where f' follows how spread the top trials are (`core.narrowing`); or NEAR: by `factor`
            × the range as it was asked for, whatever the other trials say, and all other values stay.

    Raises: ValueError: no trial succeeded, or `factor` is outside (0, 1].
    """
    if factor is not None and not 0 < factor <= 1:
        raise ValueError(f"refinement factor {factor} is outside (0, 1]")
    known = tuple(trials)
    evidence = ranked(known)
    if not evidence:
        raise ValueError("a refinement needs a SUCCEEDED trial")
    chosen = ""
    if space_original.alternatives and factor is not None:
        branch = best_alternative(space_original, space_current, known, evidence[0])
        chosen = summarise_alternative(branch.place, len(space_original.alternatives), evidence[0])
        space_original, space_current, known = branch.original, branch.current, branch.known
        evidence = ranked(known)
    # Candidates stopped early were looked at, and found to be no better than those kept.
    looked_at = len(evidence) + sum(each.state is TrialState.PRUNED for each in known)
    top = top_set(evidence, searched=looked_at)
    if factor is None:
        searched = _as_asked(space_original)
    elif rule == NEAR:
        searched = _near_best(space_original, space_current, evidence[0], factor)
    else:
        searched = _narrowed_space(
            space_original,
            space_current,
            known,
            top,
            factor,
            looked_at=looked_at,
            source_method=source_method,
            rule=rule,
        )
    held = _held(space_original, space_current, evidence[0])
    parameters = (*searched, *held)
    if factor is None:
        summary = f"Searched as it was asked for, from the best of {len(evidence)} trials."
    else:
        summary = summarise_refinement(
            [(each.before, each.after) for each in searched], top, len(evidence)
        )
    return Refinement(
        rule=NO_REFINEMENT if factor is None else rule,
        orchestration_id=orchestration_id,
        source_tuning_run_id=source_tuning_run_id,
        target_tuning_run_id=target_tuning_run_id,
        refinement_factor=factor or 0.0,
        evidence_trial_numbers=tuple(each.number for each in top[:MAX_EVIDENCE]),
        best_trial_number=evidence[0].number,
        parameters=parameters,
        space_before=_space_of((each.before for each in parameters), space_original),
        space_after=_space_of((each.after for each in parameters), space_original),
        summary=summary + chosen + summarise_held([each.after for each in held]),
    )


def with_held(original: SearchSpace, refined: SearchSpace) -> SearchSpace:
    """Returns a space as it was asked for, with what a refinement of it holds at one value."""
    asked = set(original.names)
    return _space_of(
        (*original.parameters, *(each for each in refined.parameters if each.name not in asked)),
        original,
    )


def _space_of(parameters: Iterable[Parameter], asked: SearchSpace) -> SearchSpace:
    if asked.alternatives:
        return asked
    return SearchSpace.of(parameters, asked.constraints)


def _held(
    original: SearchSpace, current: SearchSpace, best: Trial
) -> tuple[ParameterRefinement, ...]:
    before = {each.name: each for each in hull_space(current).parameters}
    held = []
    for name in sorted(set(best.parameters) - set(original.names)):
        after = Parameter(name=name, domain=Fixed(value=best.parameters[name]))
        held.append(
            ParameterRefinement(
                name=name,
                before=before.get(name, after),
                after=after,
                rule=HELD,
                explanation=explain_held(after, best),
            )
        )
    return tuple(held)


def _as_asked(original: SearchSpace) -> tuple[ParameterRefinement, ...]:
    return tuple(
        ParameterRefinement(
            name=each.name,
            before=each,
            after=each,
            rule=UNCHANGED,
            explanation=f"{each.name} is searched as it was asked for",
        )
        for each in original.parameters
    )


def _near_best(
    space_original: SearchSpace, space_current: SearchSpace, best: Trial, radius: float
) -> tuple[ParameterRefinement, ...]:
    original = hull_space(space_original)
    before = _searched(original, hull_space(space_current))
    # What the best trial has not, since it was not active there, has no place to be near to.
    centre = {
        each.name: best.parameters[each.name]
        for each in original.parameters
        if each.name in best.parameters
    }
    return tuple(
        ParameterRefinement(
            name=new.name,
            before=before.get(new.name, old),
            after=new,
            rule=rule_for(before.get(new.name, old), new),
            explanation=explain_near(new, best, radius),
        )
        for old, new in zip(
            original.parameters, box_around(original, centre, radius).parameters, strict=True
        )
    )


def _narrowed_space(
    space_original: SearchSpace,
    space_current: SearchSpace,
    known: Sequence[Trial],
    top: Sequence[Trial],
    factor: float,
    *,
    looked_at: int,
    source_method: str,
    rule: str,
) -> tuple[ParameterRefinement, ...]:
    evidence = ranked(known)
    original = hull_space(space_original)
    before = _searched(original, hull_space(space_current))
    neighbourhood = Neighbourhood(
        factor=factor,
        evidence_count=looked_at,
        searched_count=sum(parameter_size(each) != 1 for each in original.parameters),
        tried=tuple(each for each in known if each.state.is_terminal)
        if source_method == GRID_SEARCH
        else None,
        rule=rule,
    )
    after = replace(
        original,
        parameters=tuple(
            _refined(each, before.get(each.name, each), top, neighbourhood)
            for each in original.parameters
        ),
    )
    after = with_constraints_met(original, after)
    after = with_two_points(original, after, evidence)
    return tuple(
        _described(before.get(new.name, old), new, top, neighbourhood)
        for old, new in zip(original.parameters, after.parameters, strict=True)
    )


def _searched(original: SearchSpace, current: SearchSpace) -> dict[str, Parameter]:
    """The parameters that were searched, by name.

    A grid of some values of a range stands for the whole range, with its step and its scale.
    """
    asked = {each.name: each for each in original.parameters}
    return {
        each.name: asked.get(each.name, each) if _spans(each, asked.get(each.name)) else each
        for each in current.parameters
    }


def _spans(current: Parameter, original: Parameter | None) -> bool:
    if original is None or current.specials != original.specials:
        return False
    new, old = current.domain, original.domain
    if not isinstance(new, IntRange | FloatRange) or not isinstance(old, IntRange | FloatRange):
        return False
    return (new.low, new.high) == (old.low, old.high)


def top_count(searched: int) -> int:
    """Returns how many of so many trials are top ones: a tenth, at least 3 and at most 10."""
    return min(max(math.ceil(searched / 10), 3), 10)


def top_set(evidence: Sequence[Trial], *, searched: int) -> list[Trial]:
    """Returns the top trials of a ranked list, with all that tie with the last of them.

    Args:
        searched: trials they are the top of: the ranked ones, and those stopped early.
    """
    count = min(top_count(searched), len(evidence))
    top = list(evidence[:count])
    top += [each for each in evidence[count:] if each.score == top[-1].score]
    return top


def _refined(
    original: Parameter, current: Parameter, top: Sequence[Trial], neighbourhood: Neighbourhood
) -> Parameter:
    values = [each.parameters[original.name] for each in top if original.name in each.parameters]
    domain = original.domain
    if not values or (original.conditions and len(values) < _FEWEST_ACTIVE):
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
            replace(original, domain=Choices(values=specials), specials=()) if specials else current
        )
    searched = current.domain if isinstance(current.domain, IntRange | FloatRange) else domain
    return replace(
        original,
        domain=narrowed(original.name, domain, searched, numbers, neighbourhood),
        specials=specials,
    )


def _described(
    before: Parameter, after: Parameter, top: Sequence[Trial], neighbourhood: Neighbourhood
) -> ParameterRefinement:
    words, effective = explain(before, after, top), None
    searched = before.domain
    if (
        neighbourhood.rule == ADAPTIVE
        and isinstance(searched, IntRange | FloatRange)
        and isinstance(after.domain, IntRange | FloatRange)
    ):
        values = [each.parameters.get(before.name) for each in top]
        # Those that explored count too, wherever they lie.
        numbers = [
            each for each in values if isinstance(each, int | float) and not isinstance(each, bool)
        ]
        if numbers:
            effective = effective_factor(neighbourhood.factor, searched, numbers, log=searched.log)
            share = spread_share(searched, numbers, log=searched.log)
            words += explain_adaptive(share, effective, len(numbers))
    return ParameterRefinement(
        name=before.name,
        before=before,
        after=after,
        rule=rule_for(before, after),
        explanation=words,
        effective_factor=effective,
    )
