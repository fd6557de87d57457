"""Commands that steer: cancel, pause, resume, trigger."""

from __future__ import annotations

from crescendo.cli import options, output
from crescendo.cli.views import results
from crescendo.client.model import Orchestration


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


def _show(whole: Orchestration, *, as_json: bool) -> None:
    if as_json:
        output.print_json(whole)
    else:
        output.out().print(results.status(whole))
