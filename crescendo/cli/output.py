"""Where output goes, and its form for programs."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Console

from crescendo.client.events import Event, Snapshot, WatchItem

_WIDTH_OF_FILES = 120


def out() -> Console:
    """Gives the console for results."""
    return _console(sys.stdout.isatty())


def err() -> Console:
    """Gives the console for messages."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=not sys.stderr.isatty())


def print_json(value: Any) -> None:
    """Prints one value as indented JSON; dataclasses become objects, times ISO 8601."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_json_line(value: Any) -> None:
    """Prints one value as one line of JSON."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def watch_item(item: WatchItem) -> dict[str, Any]:
    """Gives an item of a watch as plain data: `type`, `sequence`, and what it holds."""
    if isinstance(item, Snapshot):
        return {
            "type": "snapshot",
            "sequence": item.sequence,
            "epoch": item.epoch,
            "shortened": item.shortened,
            "orchestration": plain(item.orchestration),
        }
    return {
        "type": _snake(type(item.change).__name__),
        "sequence": item.sequence,
        "epoch": item.epoch,
        "occurred_at": plain(item.occurred_at),
        **_payload(item),
    }


def plain(value: Any) -> Any:
    """Gives a value in JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, str | int | float | bool) or value is None:
        # NaN and infinities have no JSON: a secondary metric that was undefined becomes null.
        return None if isinstance(value, float) and value - value != 0 else value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Iterable):
        return [plain(each) for each in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _payload(event: Event) -> dict[str, Any]:
    data = plain(event.change)
    return data if isinstance(data, dict) else {}


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _console(interactive: bool) -> Console:
    # No markup: values and messages from outside may hold brackets that mean nothing.
    if interactive:
        return Console(highlight=False, markup=False)
    # Piped tables must not be cut to the 80 columns rich assumes.
    return Console(highlight=False, markup=False, width=_WIDTH_OF_FILES)
