"""Options that say what a search reports, and what its result is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import typer

from crescendo.cli.options import SEARCH_PANEL
from crescendo.client.model import Selection

TrainScoresOption: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--train-scores/--no-train-scores",
        help="Score each split's training part too, which tells overfitting; not scored.",
        rich_help_panel=SEARCH_PANEL,
        show_default=False,
    ),
]
SelectOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--select",
        metavar="RULE",
        help="The best model: best, by score, or one_standard_error, the simplest about as good.",
        rich_help_panel=SEARCH_PANEL,
        show_default=False,
    ),
]
SimplerOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--simpler",
        metavar="NAME=lower|higher",
        help="What makes a candidate simpler, for one_standard_error; the most important one first.",
        rich_help_panel=SEARCH_PANEL,
        show_default=False,
    ),
]


def selection(rule: str | None, simpler: Sequence[str] | None) -> Selection | None:
    """Makes a selection of --select and --simpler, which alone means one_standard_error.

    Raises:
        BadParameter: a --simpler is not NAME=lower or NAME=higher.
    """
    if rule is None and not simpler:
        return None
    values: dict[str, str] = {}
    for each in simpler or ():
        name, _, prefer = each.partition("=")
        if not name or prefer not in ("lower", "higher") or name in values:
            raise typer.BadParameter(
                f"{each!r} is not NAME=lower or NAME=higher, each name once, such as"
                " max_depth=lower",
                param_hint="--simpler",
            )
        values[name] = prefer
    return Selection(rule=rule or "one_standard_error", simpler=values)
