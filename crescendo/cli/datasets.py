"""`crescendo datasets …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crescendo.cli import options, output
from crescendo.cli.views import catalogue
from crescendo.client.model import DatasetRoles

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Datasets: list, show, upload, delete."
)

_DatasetArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The dataset's id.", show_default=False)
]


@app.command("list")
def list_datasets(
    *, as_json: options.JsonOption = False, store: options.StoreOption = None
) -> None:
    """List datasets, the built-in ones first."""
    with options.client(None, store) as client:
        listed = list(client.datasets())
    if as_json:
        output.print_json(listed)
    else:
        output.out().print(catalogue.datasets(listed))


@app.command("show")
def show(
    *,
    dataset_id: _DatasetArgument,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Show one dataset: its rows, classes and columns."""
    with options.client(None, store) as client:
        shown = client.dataset(dataset_id)
    if as_json:
        output.print_json(shown)
    else:
        output.out().print(catalogue.dataset(shown))


@app.command(
    "upload", epilog="Example:\n\n    crescendo datasets upload churn.csv --target churned"
)
def upload(
    *,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="CSV with a header row, or Parquet."
        ),
    ],
    target: Annotated[
        str, typer.Option("--target", metavar="COLUMN", help="The column to predict.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="A name; the file's by default.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task", help="classification or regression; read from the target by default."
        ),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            "--group",
            metavar="COLUMN",
            help="Groups of rows, for splits that keep them together.",
            show_default=False,
        ),
    ] = "",
    time: Annotated[
        str,
        typer.Option(
            "--time",
            metavar="COLUMN",
            help="Order of the rows, for splits in time.",
            show_default=False,
        ),
    ] = "",
    weight: Annotated[
        str,
        typer.Option(
            "--weight", metavar="COLUMN", help="Weights of the rows, for fits.", show_default=False
        ),
    ] = "",
    fold: Annotated[
        str,
        typer.Option(
            "--fold",
            metavar="COLUMN",
            help="Test fold of each row, from 0; -1 is never tested.",
            show_default=False,
        ),
    ] = "",
    positive: Annotated[
        str,
        typer.Option(
            "--positive",
            metavar="LABEL",
            help="The class that f1, recall and the like are about.",
            show_default=False,
        ),
    ] = "",
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Upload a table; it never changes after."""
    roles = DatasetRoles(
        group_column=group,
        time_column=time,
        weight_column=weight,
        fold_column=fold,
        positive_label=positive,
    )
    with options.client(None, store) as client:
        made = client.upload_dataset(file, target=target, name=name, task=task, roles=roles)
    if as_json:
        output.print_json(made)
    else:
        output.out().print(catalogue.dataset(made))


@app.command("delete")
def delete(*, dataset_id: _DatasetArgument, store: options.StoreOption = None) -> None:
    """Delete an uploaded dataset that no model run uses."""
    with options.client(None, store) as client:
        client.delete_dataset(dataset_id)
    output.out().print(f"Deleted {dataset_id}.")
