"""Values in words: numbers, durations, parameters, spaces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from crescendo.client.model import SpaceParameter, State
from crescendo.client.values import Value

STATE_STYLES: dict[State, str] = {
    "pending": "dim",
    "queued": "dim",
    "running": "cyan",
    "paused": "yellow",
    "completed": "green",
    "succeeded": "green",
    "failed": "red",
    "pruned": "magenta",
    "cancelled": "yellow",
}
STATE_MARKS: dict[State, str] = {
    "pending": "○",
    "running": "●",
    "paused": "‖",
    "completed": "✔",
    "failed": "✘",
    "cancelled": "–",
}


def score(number: float | None) -> str:
    """Gives a score with five digits behind the point, those of large errors with fewer."""
    if number is None:
        return "–"
    return f"{number:.5f}" if abs(number) < 100 else f"{number:.6g}"


def duration(seconds: float | None) -> str:
    """Gives a duration in the two largest units that matter."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def value(given: Value) -> str:
    """Gives one parameter value as `--param` takes it."""
    if given is None:
        return "null"
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, float):
        # Fewer digits than the value has: for reading; `--json` has them all.
        text = f"{given:.6g}"
        return text if any(char in text for char in ".en") else f"{text}.0"
    if isinstance(given, tuple):
        return "(" + ", ".join(value(each) for each in given) + ")"
    if isinstance(given, str):
        return given if _is_plain(given) else json.dumps(given)
    return str(given)


def parameters(given: Mapping[str, Value]) -> str:
    """Gives an assignment in one line."""
    if not given:
        return "(none)"
    return "  ".join(f"{name}={value(each)}" for name, each in given.items())


def space(parameter: SpaceParameter) -> str:
    """Gives what one parameter of a space allows."""
    shown = [value(each) for each in parameter.values]
    if parameter.low is not None and parameter.high is not None:
        scale = " (log)" if parameter.log else ""
        shown.insert(0, f"{value(parameter.low)} … {value(parameter.high)}{scale}")
    text = ", ".join(shown)
    if not parameter.conditions:
        return text
    held = (
        f"{each.parent} {' or '.join(value(one) for one in each.values)}"
        for each in parameter.conditions
    )
    return f"{text}; with {' and '.join(held)}"


def reason(name: str) -> str:
    """Gives a reason such as BUDGET_SPENT in words."""
    return name.replace("_", " ").lower()


def method(name: str) -> str:
    """Gives a method's or workflow's name in words."""
    return name.replace("_", " ")


def instant(when: datetime | None) -> str:
    """Gives a time on this machine's clock."""
    return "–" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S}"


def age(when: datetime | None, now: datetime | None = None) -> str:
    """Gives how long ago something was."""
    if when is None:
        return "–"
    return duration(((now or datetime.now(UTC)) - when).total_seconds()) + " ago"


def count(number: int, noun: str) -> str:
    """Gives a number with its noun, in the plural where it must be."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: int) -> str:
    """Gives a number of bytes."""
    if number < 1024:
        return f"{number} B"
    if number < 1024**2:
        return f"{number / 1024:.1f} KiB"
    return f"{number / 1024**2:.1f} MiB"


def _is_plain(text: str) -> bool:
    if not text or text.lower() in ("null", "none", "true", "false"):
        return False
    try:
        float(text)
    except ValueError:
        return not set(text) & set(" ,()[]\"'")
    return False
