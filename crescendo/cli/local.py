"""`crescendo up` and `crescendo demo`: everything on this machine."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from crescendo.cli import embedded, following, output, wording
from crescendo.cli.views import overview, results
from crescendo.client.addresses import data_dir, local_addresses
from crescendo.client.errors import CrescendoError
from crescendo.client.library import Crescendo
from crescendo.client.values import Value

UP_EXAMPLES = r"""Examples:

    crescendo up                       # ports 50051 to 50053, data in ~/.crescendo
    crescendo up --port 0 --data ./here    # free ports, data in a folder of your own"""

_DATASET = "sklearn:breast_cancer"
_MODEL = "random_forest_classifier"
# 3 × 3 × 3 = 27 points; with 35 more trials of five folds each, well under a minute on two cores.
_GRID: Final[dict[str, list[Value]]] = {
    "n_estimators": [10, 25, 50],
    "max_depth": [4, 8, None],
    "max_features": [0.1, 0.3, 0.6],
}
_COMPARISON = (
    "crescendo search compare --dataset sklearn:wine --model random_forest_classifier"
    " --model svm_classifier --step standard_scaler"
)
_RANDOM_TRIALS = 20
_BAYESIAN_TRIALS = 15

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Where everything is kept; CRESCENDO_DATA_DIR, else ~/.crescendo.",
        show_default=False,
    ),
]


def up(
    *,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65533,
            help="The coordinator's port, 50051; the store takes the next two. 0 takes free ones.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Run store, coordinator and worker here, with a Postgres of their own, until Ctrl-C.

    Everything is kept in one folder; what was running goes on at the next start.
    """
    embedded.check_installed()
    folder = _folder(data)
    running = local_addresses(folder)
    if running is not None:
        raise CrescendoError(
            f"the services run on {folder} already: coordinator {running.coordinator}, store"
            f" {running.store}; use those, or choose another folder with --data",
            reason="ALREADY_RUNNING",
        )
    output.err().print(f"Starting the services, data in {folder} …")
    embedded.replace_process(embedded.environment(folder, port))


def demo(*, data: DataOption = None) -> None:
    """Search a random forest on real data here: a grid of 27, then random, then bayesian; a minute.

    Starts the services for the time of the demo, or uses those of a 'crescendo up'.
    """
    console = output.out()
    folder = _folder(data)
    begun = time.monotonic()
    if local_addresses(folder) is None:
        console.print("Starting store, coordinator and worker, with a Postgres of their own …")
    with embedded.started(folder) as local:
        _say_ready(console, local, folder, time.monotonic() - begun)
        addresses = local.addresses
        with Crescendo(coordinator=addresses.coordinator, store=addresses.store) as client:
            try:
                state = _search(console, client, local, folder)
            except following.Detached as detached:
                if not local.ours:
                    raise
                _say_stopped(console, detached.orchestration_id, folder)
                sys.exit(following.DETACHED)
    sys.exit(following.exit_code(state))


def _say_ready(console: Console, local: embedded.Local, folder: Path, seconds: float) -> None:
    where = f"coordinator {local.addresses.coordinator}, store {local.addresses.store}"
    if local.ours:
        console.print(f"Ready after {wording.duration(seconds)}: {where}, data in {folder}")
    else:
        console.print(f"Using the services that run on {folder}: {where}")


def _search(console: Console, client: Crescendo, local: embedded.Local, folder: Path) -> str:
    model_run = client.create_model_run(_DATASET, _MODEL, experiment="demo")
    started = client.start_progressive_search(
        model_run.model_run_id,
        _GRID,
        n_iter_random=_RANDOM_TRIALS,
        n_iter_bayesian=_BAYESIAN_TRIALS,
    )
    _introduce(console)
    state = following.follow_on(
        console,
        client,
        started.orchestration_id,
        on_leaving="Ctrl-C stops the demo; nothing is lost." if local.ours else following.DETACHES,
    )
    _conclude(console, client, started.orchestration_id, local, folder)
    return state


def _introduce(console: Console) -> None:
    console.print()
    console.print(
        f"Progressive search of {_MODEL} on {_DATASET} (569 tumours, 30 measurements each)."
    )
    grid = "  ".join(
        f"{name} = {', '.join(wording.value(value) for value in values)}"
        for name, values in _GRID.items()
    )
    console.print(f"The grid: {grid}")
    console.print()


def _conclude(
    console: Console,
    client: Crescendo,
    orchestration_id: str,
    local: embedded.Local,
    folder: Path,
) -> None:
    whole = client.status(orchestration_id)
    if whole.best is None:
        console.print(overview.status(whole))
        return
    for refinement in client.refinements(orchestration_id):
        console.print()
        console.print(results.refinement(refinement))
    _heading(console, "Best model")
    console.print(results.best(client.best(orchestration_id, so_far=True)))
    firsts = [stage for stage in whole.stages if stage.best_score is not None]
    reached = ", ".join(
        f"{wording.method(stage.method)} {wording.score(stage.best_score)}" for stage in firsts
    )
    console.print(f"Best of each stage: {reached}")
    _heading(console, "Look further")
    if local.ours:
        console.print("Everything is kept. Start the services again in one terminal:", style="dim")
        console.print(f"  {_up_command(folder)}", soft_wrap=True)
        console.print("and in another:", style="dim")
    for command in (
        f"crescendo trials {orchestration_id} --best --limit 10",
        f"crescendo refinements {orchestration_id}",
        _COMPARISON,
        "crescendo search progressive --help",
    ):
        console.print(f"  {command}", soft_wrap=True)


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _say_stopped(console: Console, orchestration_id: str, folder: Path) -> None:
    console.print()
    console.print("Stopped, and the services with it. Nothing is lost: the search goes on with")
    console.print(f"  {_up_command(folder)}", soft_wrap=True)
    console.print("and in another terminal:")
    console.print(f"  crescendo watch {orchestration_id}", soft_wrap=True)


def _up_command(folder: Path) -> str:
    usual = data_dir(os.environ).resolve()
    return "crescendo up" if folder == usual else f"crescendo up --data {shlex.quote(str(folder))}"


def _folder(data: Path | None) -> Path:
    return (data.expanduser() if data is not None else data_dir(os.environ)).resolve()
