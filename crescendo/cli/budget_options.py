"""Options of budgets, of how trials run, and of ending early."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from crescendo.cli.options import BUDGET_PANEL

STOPPING_PANEL = "Stopping early"

MaxTrialsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-trials",
        metavar="N",
        help="Trials of all stages together; no limit.",
        rich_help_panel=BUDGET_PANEL,
    ),
]
MaxFailedOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-failed",
        metavar="N",
        help="Failed trials; one more ends the search as failed; no limit.",
        rich_help_panel=BUDGET_PANEL,
    ),
]
MaxTimeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--max-time",
        metavar="SPAN",
        help="Time running, such as 90s, 10m or 1h30m, pauses not counted; no limit.",
        rich_help_panel=BUDGET_PANEL,
    ),
]
MaxCostOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        metavar="X",
        help="What all trials may cost; never exceeded with --trial-timeout; no limit.",
        rich_help_panel=BUDGET_PANEL,
    ),
]
PriceOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--price",
        metavar="X",
        help="What one slot costs an hour; the operator's price.",
        rich_help_panel=BUDGET_PANEL,
    ),
]
TrialTimeoutOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--trial-timeout",
        metavar="SPAN",
        help="End a trial that runs longer, such as 30s or 5m; the operator's limit.",
        rich_help_panel=BUDGET_PANEL,
    ),
]
PriorityOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--priority",
        metavar="N",
        help="Who is served first, -100 to 100, higher before lower; 0.",
        rich_help_panel=BUDGET_PANEL,
    ),
]
WorkerClassOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--worker-class",
        metavar="CLASS",
        help="The class of workers that runs the trials; default.",
        rich_help_panel=BUDGET_PANEL,
    ),
]
PlateauOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--plateau",
        metavar="N",
        help="End the search after N trials in a row without an improvement.",
        rich_help_panel=STOPPING_PANEL,
    ),
]
MinImprovementOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--min-improvement",
        metavar="X",
        help="What a score must be above the last improvement to be one, 0.",
        rich_help_panel=STOPPING_PANEL,
    ),
]
TargetScoreOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--target-score",
        metavar="X",
        help="End the search when a trial scores X or more.",
        rich_help_panel=STOPPING_PANEL,
    ),
]
StagePlateauOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--stage-plateau",
        metavar="N",
        help="End a stage's search of a model after N trials without an improvement; the next goes on.",
        rich_help_panel=STOPPING_PANEL,
    ),
]
StageTargetOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--stage-target",
        metavar="X",
        help="End a stage's search of a model when a trial scores X or more; the next goes on.",
        rich_help_panel=STOPPING_PANEL,
    ),
]
