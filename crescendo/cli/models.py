"""`crescendo models …`."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from crescendo.cli import arguments, options, output
from crescendo.cli.targets import find_dataset, parse_steps, parsed
from crescendo.cli.views import catalogue

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Model runs: a model type on a dataset, ready to be tuned.",
)

_CREATE = r"""Example:

    crescendo models create svm_classifier --dataset sklearn:digits \
        --step standard_scaler --fixed kernel=rbf"""


_TYPES = """Example:

    crescendo models types xgboost_classifier"""


@app.command("create", epilog=_CREATE)
def create(
    *,
    model_type: Annotated[
        str,
        typer.Argument(
            metavar="TYPE", help="Such as random_forest_classifier; a wrong one lists all."
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option("--dataset", metavar="ID|FILE", help="A dataset's id, or a file to upload."),
    ],
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="COLUMN", help="The column to predict, for a file."),
    ] = None,
    fixed: options.FixedOption = None,
    step: options.StepOption = None,
    experiment: options.ExperimentOption = None,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Create a model run."""
    parameters = parsed("--fixed", lambda: arguments.parse_parameters(fixed or []))
    steps = parse_steps(step or [])
    with options.client(None, store) as client:
        made = client.create_model_run(
            find_dataset(client, dataset, target),
            model_type,
            fixed=parameters,
            steps=steps,
            experiment=experiment,
        )
    if as_json:
        output.print_json(made)
    else:
        output.out().print(catalogue.model_run(made))


@app.command("list")
def list_model_runs(
    *,
    experiment: Annotated[
        str, typer.Option("--experiment", metavar="NAME", help="Only those of an experiment.")
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")
    ] = 20,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """List model runs, newest first."""
    with options.client(None, store) as client:
        listed = list(islice(client.model_runs(experiment), limit))
    if as_json:
        output.print_json(listed)
    elif listed:
        output.out().print(catalogue.model_runs(listed))
    else:
        output.out().print("None yet. Create one with: crescendo models create --help")


@app.command("show")
def show(
    *,
    model_run_id: Annotated[str, typer.Argument(metavar="ID", help="The model run's id.")],
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Show one model run."""
    with options.client(None, store) as client:
        shown = client.model_run(model_run_id)
    if as_json:
        output.print_json(shown)
    else:
        output.out().print(catalogue.model_run(shown))


@app.command("types", epilog=_TYPES)
def types(
    *,
    model_type: Annotated[
        str, typer.Argument(metavar="TYPE", help="Show one type's grid and preset spaces.")
    ] = "",
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """List the model types, or show what is searched of one by default and by --space-type."""
    with options.client(None, store) as client:
        listed = client.model_types()
    known = [each.model_type for each in listed]
    if model_type and model_type not in known:
        raise typer.BadParameter(
            f"{model_type!r} is not one of {', '.join(known)}", param_hint="TYPE"
        )
    chosen = [each for each in listed if model_type in ("", each.model_type)]
    if as_json:
        output.print_json(chosen)
    elif model_type:
        output.out().print(catalogue.model_type(chosen[0]))
    else:
        output.out().print(catalogue.model_types(chosen))
