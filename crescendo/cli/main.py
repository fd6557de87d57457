"""The `crescendo` command."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from crescendo.cli import (
    datasets,
    local,
    models,
    output,
    reading,
    replaying,
    steering,
    trials,
)
from crescendo.cli.following import DETACHED, FAILED, USAGE, Detached, print_way_back
from crescendo.cli.search import commands as search
from crescendo.client.errors import (
    AlreadyExists,
    CrescendoError,
    CursorOutOfRange,
    InvalidRequest,
    NotFound,
    Unavailable,
)

_EPILOG = r"""Start here:

    crescendo demo                  # a whole search on this machine, nothing else needed
    crescendo up                    # keep the services running, then in another terminal:
    crescendo search progressive --dataset sklearn:wine --model random_forest_classifier

Without addresses the commands talk to a 'crescendo up' on this machine, else to 127.0.0.1:50051 and
127.0.0.1:50052; CRESCENDO_COORDINATOR_ADDRESS and CRESCENDO_STORE_ADDRESS say otherwise.

Exit codes: 0 completed, 1 failed, 2 invalid request, 130 detached by Ctrl-C."""

_HERE, _RUN, _READ, _STEER, _KEEP = (
    "On this machine",
    "Search",
    "Look",
    "Steer",
    "Data and models",
)

# As the help lists them: groups would come behind all plain commands otherwise.
_ORDER = (
    *("demo", "up", "search"),
    *(
        "watch",
        "status",
        "best",
        "trials",
        "trial",
        "compare-trials",
        "refinements",
        "history",
        "replay",
        "list",
    ),
    *("pause", "resume", "trigger", "extend", "cancel"),
    *("datasets", "models"),
)


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        """Gives the commands in the order people need them."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    name="crescendo",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Tune hyperparameters as a service: start searches, watch them, read what they found.",
    epilog=_EPILOG,
)

app.command("demo", rich_help_panel=_HERE)(local.demo)
app.command("up", rich_help_panel=_HERE, epilog=local.UP_EXAMPLES)(local.up)
app.add_typer(search.app, name="search", rich_help_panel=_RUN)
app.command("watch", rich_help_panel=_READ)(reading.watch)
app.command("status", rich_help_panel=_READ)(reading.status)
app.command("best", rich_help_panel=_READ)(reading.best)
app.command("trials", rich_help_panel=_READ)(reading.trials)
app.command("trial", rich_help_panel=_READ)(trials.trial)
app.command("compare-trials", rich_help_panel=_READ, epilog=trials.EXAMPLES)(trials.compare_trials)
app.command("refinements", rich_help_panel=_READ)(reading.refinements)
app.command("history", rich_help_panel=_READ)(reading.history)
app.command("replay", rich_help_panel=_READ)(replaying.replay)
app.command("list", rich_help_panel=_READ)(reading.list_orchestrations)
app.command("pause", rich_help_panel=_STEER)(steering.pause)
app.command("resume", rich_help_panel=_STEER)(steering.resume)
app.command("trigger", rich_help_panel=_STEER)(steering.trigger)
app.command("extend", rich_help_panel=_STEER, epilog=steering.EXTEND_EXAMPLES)(steering.extend)
app.command("cancel", rich_help_panel=_STEER)(steering.cancel)
app.add_typer(datasets.app, name="datasets", rich_help_panel=_KEEP)
app.add_typer(models.app, name="models", rich_help_panel=_KEEP)

# The request was wrong, so saying it again will not help; everything else is a failure.
_WRONG_REQUESTS = (InvalidRequest, NotFound, AlreadyExists, CursorOutOfRange)


def _version(wanted: bool) -> None:
    if wanted:
        version = importlib.metadata.version("crescendo-tuning")
        sys.stdout.write(f"crescendo {version}\n")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Takes the options before the command; each acts by its callback."""


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line; ends the process with its exit code."""
    try:
        app(args=None if args is None else list(args))
    except CrescendoError as error:
        _report(error)
        sys.exit(USAGE if isinstance(error, _WRONG_REQUESTS) else FAILED)
    except Detached as detached:
        console = output.err()
        console.print(f"Detached; {detached.orchestration_id} goes on without you.")
        print_way_back(console, detached.orchestration_id)
        sys.exit(DETACHED)


def _report(error: CrescendoError) -> None:
    console = output.err()
    if error.violations:
        wrong = len(error.violations)
        console.print(
            "error: the request is invalid" + (f", in {wrong} places:" if wrong > 1 else ":")
        )
        for violation in error.violations:
            console.print(f"  {violation}")
    else:
        console.print(f"error: {error.message}")
    if error.request_id:
        console.print(f"  request id: {error.request_id}")
    if isinstance(error, Unavailable) and error.reason in ("UNREACHABLE", "NO_ANSWER"):
        console.print(
            "  Start one on this machine with: crescendo up\n"
            "  or say where it is with --coordinator / --store (CRESCENDO_COORDINATOR_ADDRESS,"
            " CRESCENDO_STORE_ADDRESS)"
        )


if __name__ == "__main__":
    main()
