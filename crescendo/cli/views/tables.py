"""Tables the views share."""

from __future__ import annotations

from rich.table import Table


def facts_table() -> Table:
    """Makes a table of facts: what it is, then its value."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
