"""Options that name the roles of a file's columns, where a search uploads it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from crescendo.cli.options import MODEL_PANEL
from crescendo.client.model import DatasetRoles

GroupOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--group-column",
        metavar="COLUMN",
        help="When --dataset is a file: groups of rows, for splits that keep them together.",
        rich_help_panel=MODEL_PANEL,
        show_default=False,
    ),
]
TimeOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--time-column",
        metavar="COLUMN",
        help="When --dataset is a file: order of the rows, for splits in time.",
        rich_help_panel=MODEL_PANEL,
        show_default=False,
    ),
]
WeightOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--weight-column",
        metavar="COLUMN",
        help="When --dataset is a file: weights of the rows, for fits.",
        rich_help_panel=MODEL_PANEL,
        show_default=False,
    ),
]
FoldOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--fold-column",
        metavar="COLUMN",
        help="When --dataset is a file: test fold of each row, from 0; -1 is never tested.",
        rich_help_panel=MODEL_PANEL,
        show_default=False,
    ),
]
PositiveOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--positive-label",
        metavar="LABEL",
        help="When --dataset is a file: the class that f1, recall and the like are about.",
        rich_help_panel=MODEL_PANEL,
        show_default=False,
    ),
]


def roles(*, group: str, time: str, weight: str, fold: str, positive: str) -> DatasetRoles | None:
    """Makes roles of what was typed; None where nothing was."""
    if not any((group, time, weight, fold, positive)):
        return None
    return DatasetRoles(
        group_column=group,
        time_column=time,
        weight_column=weight,
        fold_column=fold,
        positive_label=positive,
    )
