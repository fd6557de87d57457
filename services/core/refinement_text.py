"""What a refinement did, in sentences with numbers people can read."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.parameter_schema import shown
from services.core.refinement_rules import (
    DROPPED_RANGE,
    KEPT_VALUES,
    NARROWED,
    UNCHANGED,
    WIDENED,
    rule_for,
)
from services.core.space import (
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    Value,
    domain_contains,
    is_member,
    value_at,
)
from services.core.trial import Trial

_DIGITS = 4


def explain(before: Parameter, after: Parameter, top: Sequence[Trial]) -> str:
    """Says in one sentence what happened to a parameter and why.

    Args:
        top: the top trials, best first.
    """
    name, rule, ranks = before.name, rule_for(before, after), _the_top(top)
    if rule == NARROWED:
        return (
            f"{name} narrowed from {span(before)} to {span(after)} around "
            f"{_centre(after, top)}{_specials(before, after, ranks)}"
        )
    if rule == WIDENED:
        return (
            f"{name} {_verb(before, after)} from {span(before)} to {span(after)} around "
            f"{_centre(after, top)}, near or beyond an edge of what was searched"
            f"{_specials(before, after, ranks)}"
        )
    if rule == DROPPED_RANGE:
        return f"{name} keeps {_listed(_values(after))} only: none of {span(before)} is in {ranks}"
    if rule == KEPT_VALUES and isinstance(after.domain, IntRange | FloatRange):
        return f"{name} stays {span(after)}{_specials(before, after, ranks)}"
    if rule == KEPT_VALUES:
        return f"{name} keeps {_listed(_values(after))}{_changes(before, after, ranks)}"
    if isinstance(after.domain, Fixed):
        return f"{name} stays {shown(after.domain.value)}, its only value"
    if len(_values(after)) == 1:
        return f"{name} stays {_listed(_values(after))}"
    if isinstance(after.domain, IntRange | FloatRange):
        if any(domain_contains(after.domain, each.parameters.get(name)) for each in top):
            return (
                f"{name} stays {describe(after)}: what lies next to {_centre(after, top)} spans it"
            )
        return f"{name} stays {describe(after)}: {ranks} has no number"
    return f"{name} stays {describe(after)}: all are in {ranks}"


def explain_adaptive(share: float, effective: float, count: int) -> str:
    """Says, to follow a sentence, how the evidence chose how far a range reaches.

    Args:
        share: spread of the top values as a share of the range searched, 0 to 1.
        effective: the share of that range to search next.
        count: how many values there are.
    """
    if count == 1:
        return "; a single value says nothing of its spread: as much again is searched"
    return (
        f"; the top {count} spread over {share:.0%} of the range, so {effective:.0%} of it,"
        " centred on the best, is searched where it lies within the original bounds, more where its"
        " neighbours are far"
    )


def explain_near(after: Parameter, best: Trial, radius: float) -> str:
    """Says how far from the best trial a local stage moves a parameter."""
    value = best.parameters.get(after.name)
    if not isinstance(after.domain, IntRange | FloatRange) or not domain_contains(
        after.domain, value
    ):
        return f"{after.name} is searched at {describe(after)}"
    return (
        f"{after.name} is searched within {radius:.0%} of its range around {_number(value)}, the value"
        f" of trial {best.number}, the best"
    )


def explain_held(parameter: Parameter, best: Trial) -> str:
    """Says that a parameter a stage does not search keeps the best trial's value."""
    return f"{parameter.name} is held at {describe(parameter)}, as in trial {best.number}, the best"


def summarise_alternative(place: int, count: int, best: Trial) -> str:
    """Says, to follow a summary, which of several alternatives is gone on with."""
    return f" Goes on in alternative {place + 1} of {count}, that of trial {best.number}, the best."


def summarise_held(parameters: Sequence[Parameter]) -> str:
    """Says, to follow a summary, which parameters are held; nothing without any."""
    if not parameters:
        return ""
    held = [f"{each.name} at {describe(each)}" for each in parameters]
    return f" Held: {', '.join(held)}."


def summarise_refinement(
    changes: Sequence[tuple[Parameter, Parameter]], top: Sequence[Trial], evidence_count: int
) -> str:
    """Says in one sentence what a refinement did.

    Args:
        changes: each parameter before and after.
        top: the top trials, best first.
        evidence_count: successful trials the top ones were chosen from.
    """
    done = [
        f"{before.name} {told} {describe(after)}"
        for before, after in changes
        for told in (_told(before, after),)
        if told
    ]
    kept = [before.name for before, after in changes if before == after]
    if kept:
        done.append(f"{' and '.join(kept)} unchanged" if len(kept) < 3 else "the rest unchanged")
    best = top[0]
    score = "" if best.score is None else f" with {best.score:.4g}"
    return (
        f"From the top {len(top)} of {evidence_count} trials, led by trial {best.number}{score}: "
        f"{'; '.join(done) or 'nothing to refine'}."
    )


def _told(before: Parameter, after: Parameter) -> str:
    rule = rule_for(before, after)
    if rule == UNCHANGED:
        return ""
    return "keeps" if rule in (KEPT_VALUES, DROPPED_RANGE) else f"{_verb(before, after)} to"


def _verb(before: Parameter, after: Parameter) -> str:
    """Says what became of a range: one that reaches beyond an edge and gives up others is moved."""
    if rule_for(before, after) == NARROWED:
        return "narrowed"
    old, new = before.domain, after.domain
    if (
        isinstance(old, IntRange | FloatRange)
        and isinstance(new, IntRange | FloatRange)
        and (new.low > old.low or new.high < old.high)
    ):
        return "moved"
    return "widened"


def describe(parameter: Parameter) -> str:
    """Returns a parameter's values in words, such as `5–20 or null`."""
    if isinstance(parameter.domain, IntRange | FloatRange):
        return " or ".join([span(parameter), *(shown(each) for each in parameter.specials)])
    return _listed(_values(parameter))


def span(parameter: Parameter) -> str:
    """Returns a range as `5–20`, with as many digits as its ends need to differ; else its values."""
    domain = parameter.domain
    if not isinstance(domain, IntRange | FloatRange):
        return _listed(_values(parameter))
    low, high = _number(domain.low), _number(domain.high)
    digits = _DIGITS
    while low == high and domain.low != domain.high and digits < 17:
        digits += 1
        low, high = _number(domain.low, digits), _number(domain.high, digits)
    # A dash between signs and exponents cannot be read.
    return f"{low} to {high}" if "-" in low + high else f"{low}–{high}"


def _number(value: Value, digits: int = _DIGITS) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else shown(value)


def _centre(after: Parameter, top: Sequence[Trial]) -> str:
    """Returns the value the range is centred on and whose it is."""
    for place, trial in enumerate(top):
        value = trial.parameters.get(after.name)
        if domain_contains(after.domain, value):
            rank = "best of trial" if place == 0 else "best number, of trial"
            return f"{_number(value)} ({rank} {trial.number})"
    return "its middle"


def _specials(before: Parameter, after: Parameter, ranks: str) -> str:
    parts = []
    dropped = [each for each in _all_specials(before) if not is_member(each, after.specials)]
    if after.specials:
        verb = "stays: it is" if len(after.specials) == 1 else "stay: they are"
        parts.append(f"; {_listed(after.specials)} {verb} in {ranks}")
    if dropped:
        verb = "goes: it is" if len(dropped) == 1 else "go: they are"
        parts.append(f"; {_listed(dropped)} {verb} not in {ranks}")
    return "".join(parts)


def _all_specials(parameter: Parameter) -> tuple[Value, ...]:
    if isinstance(parameter.domain, Choices):
        return parameter.domain.values
    return parameter.specials


def _changes(before: Parameter, after: Parameter, ranks: str) -> str:
    old, new = _values(before), _values(after)
    dropped = [each for each in old if not is_member(each, new)]
    added = [each for each in new if not is_member(each, old)]
    text = ""
    if dropped:
        verb = "goes: it is" if len(dropped) == 1 else "go: they are"
        text = f"; {_listed(dropped)} {verb} not in {ranks}"
    if added:
        text += f"; {_listed(added)} {'is' if len(added) == 1 else 'are'} searched again"
    return text


def _values(parameter: Parameter) -> tuple[Value, ...]:
    domain = parameter.domain
    match domain:
        case Choices(values=values) | Grid(values=values):
            return values + parameter.specials
        case Fixed(value=value):
            return (value,)
        case _:
            return (value_at(parameter, 0),) if domain.low == domain.high else ()


def _listed(values: Sequence[Value]) -> str:
    texts = [shown(each) for each in values]
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def _the_top(top: Sequence[Trial]) -> str:
    return f"the top {len(top)}" if len(top) > 1 else "the only success"
