"""Commands that steer: cancel, pause, resume, trigger, extend."""

from __future__ import annotations

from typing import Annotated

import typer

from crescendo.cli import options, output
from crescendo.cli.following import print_way_back
from crescendo.cli.search.starting import seconds_of
from crescendo.cli.views import overview
from crescendo.client.model import Orchestration

EXTEND_EXAMPLES = r"""Examples:

    crescendo extend ID --trials 20             # 20 more trials, neither fewer nor more
    crescendo extend ID --time 30m --failed 5   # what a deadline or failures ended goes on"""


def cancel(
    *,
    orchestration_id: options.OrchestrationArgument,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
) -> None:
    """End an orchestration now; its open trials are cancelled, its results stay."""
    with options.client(coordinator, None) as client:
        _show(client.cancel(orchestration_id), as_json=as_json)


def pause(
    *,
    orchestration_id: options.OrchestrationArgument,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
) -> None:
    """Start no more trials until it is resumed; those that run are finished."""
    with options.client(coordinator, None) as client:
        _show(client.pause(orchestration_id), as_json=as_json)


def resume(
    *,
    orchestration_id: options.OrchestrationArgument,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
) -> None:
    """Go on after a pause."""
    with options.client(coordinator, None) as client:
        _show(client.resume(orchestration_id), as_json=as_json)


def trigger(
    *,
    orchestration_id: options.OrchestrationArgument,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
) -> None:
    """End the running stage now and start the next one on what is known so far."""
    with options.client(coordinator, None) as client:
        _show(client.trigger(orchestration_id), as_json=as_json)


def extend(
    *,
    orchestration_id: options.OrchestrationArgument,
    trials: Annotated[
        int | None,
        typer.Option("--trials", metavar="N", help="Trials for each model of the last stage."),
    ] = None,
    failed: Annotated[
        int | None, typer.Option("--failed", metavar="N", help="Failed trials to allow beside.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="SPAN", help="Time running, such as 90s, 10m or 1h30m."),
    ] = None,
    cost: Annotated[float | None, typer.Option("--cost", metavar="X", help="Cost.")] = None,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
) -> None:
    """Give an orchestration exactly so much more; a completed one goes on with all it has learnt.

    What is added to a limit needs the limit: --failed, --time and --cost those the search was started with.
    """
    seconds = seconds_of("--time", time)
    with options.client(coordinator, None) as client:
        whole = client.extend(
            orchestration_id, trials=trials, failed_trials=failed, seconds=seconds, cost=cost
        )
        _show(whole, as_json=as_json)
    if not as_json:
        print_way_back(output.out(), orchestration_id)


def _show(whole: Orchestration, *, as_json: bool) -> None:
    if as_json:
        output.print_json(whole)
    else:
        output.out().print(overview.status(whole))
