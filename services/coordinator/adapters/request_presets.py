"""What presets of sizes bring to requests, where those do not say themselves."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from services.core.preset_size import EFFORTS, SearchEffort


def preset_fields(message: Any) -> dict[str, Any]:
    """The presets by name, and the limits that were set beside those they bring."""
    effort = effort_of(message)
    limits = {} if effort is None else {"max_seconds": effort.seconds}
    return {
        "space_type": _preset_name(message, "space_type"),
        "config_type": _preset_name(message, "config_type"),
        "budget": limits | set_fields(message.budget),
    }


def tuning_trials(message: Any) -> dict[str, int]:
    """The trials of a single stage; nothing without `config_type`."""
    effort = effort_of(message)
    return {} if effort is None else {"n_iter": effort.trials}


def stage_trials(message: Any) -> dict[str, int]:
    """The trials of a progressive search by stage; nothing without `config_type`."""
    effort = effort_of(message)
    if effort is None:
        return {}
    _, random, bayesian = effort.stage_trials
    return {"n_iter_random": random, "n_iter_bayesian": bayesian}


def effort_of(message: Any) -> SearchEffort | None:
    """What the size named by `config_type` allows; None without one."""
    # A name that is none brings nothing, and is refused with everything else that is wrong.
    return next(
        (
            effort
            for size, effort in EFFORTS.items()
            if size.value == _preset_name(message, "config_type")
        ),
        None,
    )


def _preset_name(message: Any, field: str) -> str:
    """A preset's name as in the tables; the number itself where this version has no name for it."""
    number = getattr(message, field)
    if not number:
        return ""
    known = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return known[number].name.rpartition("_")[2].lower() if number in known else str(number)


def set_fields(message: Message) -> dict[str, float]:
    """The fields of a message that were set, by name."""
    return {field.name: value for field, value in message.ListFields()}
