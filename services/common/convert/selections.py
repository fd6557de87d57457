"""How results are selected, to and from protobuf."""

from __future__ import annotations

from typing import Final

from services.core.selection import BEST, BY_SCORE, Preference, Selection, Simpler
from tuning.v1 import orchestration_pb2 as pb

_PREFERENCES: Final = {
    Preference.LOWER: pb.SIMPLER_VALUES_LOWER,
    Preference.HIGHER: pb.SIMPLER_VALUES_HIGHER,
}
_PREFERENCES_BY_PROTO: Final = {number: each for each, number in _PREFERENCES.items()}


def selection_to_proto(selection: Selection) -> pb.Selection | None:
    """Encodes a selection; None where the best by score is the result."""
    if selection == BY_SCORE:
        return None
    return pb.Selection(
        rule=selection.rule,
        simpler=[
            pb.SimplerParameter(parameter=each.parameter, prefer=_PREFERENCES[each.prefer])
            for each in selection.simpler
        ],
    )


def selection_from_proto(message: pb.Selection) -> Selection:
    """Decodes a selection. Raises: ValueError: a parameter does not say what is simpler."""
    simpler = []
    for each in message.simpler:
        prefer = preference_from_proto(each.prefer)
        if prefer is None:
            raise ValueError(f"what is simpler in {each.parameter} is not said")
        simpler.append(Simpler(parameter=each.parameter, prefer=prefer))
    return Selection(rule=message.rule or BEST, simpler=tuple(simpler))


def preference_from_proto(number: pb.SimplerValues.ValueType) -> Preference | None:
    """Decodes what makes candidates simpler; None for a number that says nothing."""
    return _PREFERENCES_BY_PROTO.get(number)
