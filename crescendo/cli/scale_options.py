"""Options that say on which scales lists of numbers are searched."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from crescendo.cli.options import SEARCH_PANEL

LogOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="NAME",
        help="Search between the numbers of this list on a logarithmic scale; a list such as 0.1,1,10 is"
        " anyway, and a notice says so; repeatable.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
ScalesOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--scales",
        metavar="FILE|JSON",
        help="Scales of lists by model type or model run id, where they are not as they read, such as"
        ' \'{"svm_classifier": {"C": "log", "tol": "linear"}}\'.',
        rich_help_panel=SEARCH_PANEL,
    ),
]
LinearOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--linear",
        metavar="NAME",
        help="Search between the numbers of this list on a linear scale; repeatable.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
