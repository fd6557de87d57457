"""Options of those searches that try given points first."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from crescendo.cli.options import SEARCH_PANEL

BaselineOption: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--baseline/--no-baseline",
        help="Try the model's current parameters first, to show the improvement over them.",
        rich_help_panel=SEARCH_PANEL,
        show_default=False,
    ),
]
