"""Checks of how a result is to be selected."""

from __future__ import annotations

from collections.abc import Sequence

from services.coordinator.service.requests import SelectionRequest
from services.core.naming import unknown_name
from services.core.selection import BEST, BY_SCORE, SELECTIONS, Selection, Simpler, has_order
from services.core.space import SearchSpace
from services.core.violations import Violations

_MAX_SIMPLER = 20


def check_selection(
    found: Violations, asked: SelectionRequest | None, *, prunes: bool
) -> Selection:
    """Checks what can be checked without a space; `check_simpler` does the rest.

    Args:
        prunes: whether trials are stopped early, which leaves candidates without a score.

    Returns: what is right of it; nothing is to be made of it where there were violations.
    """
    if asked is None:
        return BY_SCORE
    rule = asked.rule or BEST
    if rule not in SELECTIONS:
        found.add("selection.rule", unknown_name("selection", rule, SELECTIONS))
        return BY_SCORE
    if rule == BEST:
        if asked.simpler:
            found.add(
                "selection.simpler",
                'goes with the rule "one_standard_error" only; set it, or leave this out',
            )
        return BY_SCORE
    if not asked.simpler:
        found.add(
            "selection.simpler",
            "is empty; name the parameter that makes a candidate simpler, and which of its values do",
        )
    if len(asked.simpler) > _MAX_SIMPLER:
        found.add(
            "selection.simpler",
            f"has {len(asked.simpler)} members, above the limit of {_MAX_SIMPLER}",
        )
        return BY_SCORE
    if prunes:
        found.add(
            "selection.rule",
            "one_standard_error weighs candidates that pruning stops before they have a score; leave"
            " one of the two out",
        )
    simpler: dict[str, Simpler] = {}
    for place, (name, prefer) in enumerate(asked.simpler):
        if name in simpler:
            found.add(f"selection.simpler[{place}].parameter", f'"{name}" is named already')
        elif prefer is None:
            found.add(
                f"selection.simpler[{place}].prefer",
                f'is missing; say whether lower or higher values of "{name}" are simpler',
            )
        else:
            simpler[name] = Simpler(parameter=name, prefer=prefer)
    return Selection(rule=rule, simpler=tuple(simpler.values()))


def check_simpler(
    found: Violations, selection: Selection, spaces: Sequence[tuple[str, SearchSpace]]
) -> None:
    """Checks that what makes candidates simpler is searched: of each model something, and nothing in vain.

    Args:
        spaces: with the model type that each is of.
    """
    if selection.rule == BEST:
        return
    ordered = [(model, sorted(set(_ordered(space)))) for model, space in spaces]
    listed = "; ".join(f"{model}: {', '.join(names) or 'none'}" for model, names in ordered)
    known = {name for _, names in ordered for name in names}
    for place, each in enumerate(selection.simpler):
        if each.parameter not in known:
            found.add(
                f"selection.simpler[{place}].parameter",
                f'"{each.parameter}" is no parameter with several numbers to search; those are {listed}',
            )
    named = {each.parameter for each in selection.simpler}
    for model, names in ordered:
        if named & known and not named & set(names):
            found.add(
                "selection.simpler",
                f"names no parameter of {model}, whose candidates would all be as simple; add one of:"
                f" {', '.join(names) or 'none, so compare it by the best score'}",
            )


def _ordered(space: SearchSpace) -> list[str]:
    return [
        each.name
        for part in space.alternatives or (space,)
        for each in part.parameters
        if has_order(each)
    ]
