"""Commands that read: watch, status, best, trials, refinements, list."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from crescendo.cli import following, options, output
from crescendo.cli.views import overview, results
from crescendo.client.errors import WrongState
from crescendo.client.events import OrchestrationChanged, Snapshot


def watch(
    *,
    orchestration_id: options.OrchestrationArgument,
    after: Annotated[
        int | None,
        typer.Option(
            "--after",
            metavar="SEQUENCE",
            help="With --json: only events behind this number; 0 gives the whole log.",
            show_default=False,
        ),
    ] = None,
    epoch: Annotated[
        str | None,
        typer.Option(
            "--epoch",
            help="With --after: the epoch that came with the number; refused when it is another one now.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each snapshot and event as one line of JSON.")
    ] = False,
    store: options.StoreOption = None,
) -> None:
    """Follow an orchestration until it ends; Ctrl-C leaves it running."""
    if after is not None and not as_json:
        raise typer.BadParameter("works with --json only", param_hint="--after")
    if epoch is not None and after is None:
        raise typer.BadParameter("works with --after only", param_hint="--epoch")
    with options.client(None, store) as client:
        if after is None:
            raise typer.Exit(following.follow(client, orchestration_id, as_json=as_json))
        state = ""
        for item in client.watch(orchestration_id, after, epoch=epoch):
            output.print_json_line(output.watch_item(item))
            if isinstance(item, Snapshot) or not isinstance(item.change, OrchestrationChanged):
                continue
            state = item.change.state
        raise typer.Exit(following.exit_code(state))


def status(
    *,
    orchestration_id: options.OrchestrationArgument,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Show how an orchestration stands, stage by stage."""
    with options.client(None, store) as client:
        whole = client.status(orchestration_id)
    if as_json:
        output.print_json(whole)
    else:
        output.out().print(overview.status(whole))


def best(
    *,
    orchestration_id: options.OrchestrationArgument,
    so_far: Annotated[
        bool, typer.Option("--so-far", help="Answer before the orchestration is complete.")
    ] = False,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Show the best model with its parameters and scores, and every model ranked."""
    with options.client(None, store) as client:
        try:
            model = client.best(orchestration_id, so_far=so_far)
        except WrongState as error:
            # The server names the field of its API; here it is an option.
            text = error.message.replace("set best_so_far", "use --so-far")
            raise WrongState(text, reason=error.reason, metadata=error.metadata) from error
    if as_json:
        output.print_json(model)
    else:
        output.out().print(results.best(model))


def trials(
    *,
    orchestration_id: options.OrchestrationArgument,
    best_first: Annotated[
        bool, typer.Option("--best", help="Best first, instead of in the order they were made.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many; all by default."),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="queued, running, succeeded, failed, pruned or cancelled; repeatable.",
        ),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", metavar="S", help="Scores of at least this.")
    ] = None,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """List trials with their parameters and scores.

    With --json each trial is one line, with its scores per split.
    """
    known = ("queued", "running", "succeeded", "failed", "pruned", "cancelled")
    for each in state or []:
        if each not in known:
            raise typer.BadParameter(
                f"{each!r} is not one of {', '.join(known)}", param_hint="--state"
            )
    with options.client(None, store) as client:
        listed = client.trials(
            orchestration_id, states=state or [], min_score=min_score, best_first=best_first
        )
        limited = islice(listed, limit)
        if as_json:
            for trial in limited:
                output.print_json_line(trial)
        else:
            output.out().print(results.trials(limited))


def refinements(
    *,
    orchestration_id: options.OrchestrationArgument,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Show how each stage's space was made from the results before it, in words."""
    with options.client(None, store) as client:
        made = client.refinements(orchestration_id)
    if as_json:
        output.print_json(made)
        return
    console = output.out()
    if not made:
        console.print("No refinement yet: the first is made when a stage with a successor ends.")
    for each in made:
        console.print(results.refinement(each))
        console.print()


def history(
    *,
    orchestration_id: options.OrchestrationArgument,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Show how each stage went: its best score step by step, and what one more trial may bring."""
    with options.client(None, store) as client:
        found = client.history(orchestration_id)
    if as_json:
        output.print_json(found)
        return
    for each in found:
        output.out().print(results.history(each))
        output.out().print()


def list_orchestrations(
    *,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="pending, running, paused, completed, failed or cancelled; repeatable.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")
    ] = 20,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """List orchestrations, newest first."""
    known = ("pending", "running", "paused", "completed", "failed", "cancelled")
    for each in state or []:
        if each not in known:
            raise typer.BadParameter(
                f"{each!r} is not one of {', '.join(known)}", param_hint="--state"
            )
    with options.client(None, store) as client:
        listed = list(islice(client.orchestrations(states=state or []), limit))
    if as_json:
        output.print_json(listed)
    elif listed:
        output.out().print(overview.orchestrations(listed))
    else:
        output.out().print("None yet. Start one with: crescendo search progressive --help")
