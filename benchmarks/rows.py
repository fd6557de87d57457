"""What a benchmark says: rows of one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        name: `P1`, or `P1 tpe` where one benchmark has several lines; begins with the benchmark's name.
        work: what is done, in a few words with its size.
        goal: the goal as a person reads it, such as `≥ 30×`.
        ours: the median of our figures; None where nothing could be measured.
        peer: the median of the peer's on the same work in the same run; None without a peer.
        peer_name: who that is; for a goal without a peer, what `peer` is instead (`the minimum`).
        unit: of both figures.
        ratio: ours against the peer's, in the direction the goal is stated; None without a peer.
        met: whether the goal is reached; None where it cannot be told.
        note: further figures, and what bounds a goal that is missed.
    """

    name: str
    work: str
    goal: str
    ours: float | None
    peer: float | None = None
    peer_name: str = ""
    unit: str
    ratio: float | None = None
    met: bool | None
    note: str = ""


def failed(name: str, work: str, reason: str) -> Row:
    """The row of a benchmark that could not be measured, with the reason in one line."""
    return Row(
        name=name,
        work=work,
        goal="",
        ours=None,
        unit="",
        met=None,
        note=f"failed: {' '.join(reason.split())}",
    )


def to_json(rows: Sequence[Row]) -> str:
    """Gives rows as text for another process."""
    return json.dumps([asdict(each) for each in rows])


def from_json(text: str) -> list[Row]:
    """Reads what `to_json` wrote."""
    return [Row(**each) for each in json.loads(text)]
