"""`crescendo datasets …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crescendo.cli import options, output
from crescendo.cli.views import catalogue

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
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Upload a table; it never changes after."""
    with options.client(None, store) as client:
        made = client.upload_dataset(file, target=target, name=name, task=task)
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
