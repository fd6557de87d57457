"""Rows as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.rows import Row

HEAD = (
    "| row | work | goal | ours | peer | ratio | met | notes |\n|---|---|---|---|---|---|---|---|"
)


def table(rows: Sequence[Row]) -> str:
    """Gives a whole table."""
    return "\n".join([HEAD, *(line(each) for each in rows)])


def line(row: Row) -> str:
    """Gives one line; it begins with `| NAME |`."""
    peer = f"{_figure(row.peer)} {row.unit} ({row.peer_name})" if row.peer is not None else "–"
    cells = [
        row.name,
        row.work,
        row.goal,
        f"{_figure(row.ours)} {row.unit}" if row.ours is not None else "–",
        peer,
        f"{row.ratio:.3g}×" if row.ratio is not None else "–",
        {True: "yes", False: "**no**", None: "–"}[row.met],
        row.note,
    ]
    return "| " + " | ".join(each.replace("|", "\\|").strip() for each in cells) + " |"


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
