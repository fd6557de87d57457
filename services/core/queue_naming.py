"""The rule for names that queues are made of: worker classes, and the prefix of an installation."""

from __future__ import annotations

import re
from typing import Final

MAX_QUEUE_NAME: Final = 64
"""Characters of a worker class or a queue prefix."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_QUEUE_NAME - 1}}}\Z")
_MAX_SHOWN = 80


def problem_of_queue_name(name: str) -> str | None:
    """Says what is wrong with a name, None if a queue can be named after it.

    Brokers take almost any text; this rule also keeps names readable in metrics, logs and shells.
    """
    if _NAME.match(name):
        return None
    return (
        f"use 1 to {MAX_QUEUE_NAME} characters, each one of A-Z, a-z, 0-9, '.', '_' and '-', a letter"
        f" or digit first; this has {len(name)}"
    )


def shown_queue_name(name: str) -> str:
    """Quotes a name, cut where it is too long for an error's text."""
    return repr(name if len(name) <= _MAX_SHOWN else name[: _MAX_SHOWN - 1] + "…")


def problem_of_worker_class(worker_class: str) -> str | None:
    """As `problem_of_queue_name`, with the value in front: what a refused request is told."""
    problem = problem_of_queue_name(worker_class)
    return None if problem is None else f"{shown_queue_name(worker_class)}: {problem}"
