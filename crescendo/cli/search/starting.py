"""What every `crescendo search …` has in common: its limits, and what follows a start."""

from __future__ import annotations

from dataclasses import replace

import typer

from crescendo.cli import arguments, following, output
from crescendo.cli.targets import parsed
from crescendo.cli.views import overview
from crescendo.client.library import Crescendo
from crescendo.client.model import Budget, Orchestration, Pruning, StoppingRules


def budget(
    *,
    max_trials: int | None,
    max_failed: int | None,
    max_time: str | None,
    max_cost: float | None,
    price: float | None,
    trial_timeout: str | None,
) -> Budget | None:
    """Gives the limits that were typed, None where none was."""
    limits = Budget(
        max_trials=max_trials,
        max_failed_trials=max_failed,
        max_seconds=seconds_of("--max-time", max_time),
        max_cost=max_cost,
        price_per_hour=price,
        trial_timeout_seconds=seconds_of("--trial-timeout", trial_timeout),
    )
    return None if limits == Budget() else limits


def stopping(
    *, plateau: int | None, min_improvement: float | None, target: float | None
) -> StoppingRules | None:
    """Gives the stopping rules that were typed, None where none was."""
    rules = StoppingRules(
        plateau_trials=plateau, min_improvement=min_improvement, target_score=target
    )
    return None if rules == StoppingRules() else rules


def stage_stopping(
    *, plateau: int | None, min_improvement: float | None, target: float | None
) -> StoppingRules | None:
    """Gives the stages' rules; the least improvement holds where there is a plateau."""
    return stopping(
        plateau=plateau,
        min_improvement=None if plateau is None else min_improvement,
        target=target,
    )


def pruning(rule: str | None, keep: int | None) -> Pruning | None:
    """Gives the pruning that was typed, None where none was."""
    given = parsed("--prune", lambda: arguments.parse_pruning(rule))
    if keep is None:
        return given
    if given is None:
        raise typer.BadParameter(
            "needs --prune: without it nothing is stopped", param_hint="--keep"
        )
    return replace(given, keep=keep)


def seconds_of(option: str, span: str | None) -> float | None:
    """Reads a time span given to an option."""
    return None if span is None else parsed(option, lambda: arguments.parse_duration(span))


def go_on(
    client: Crescendo, started: Orchestration, *, dry_run: bool, detach: bool, as_json: bool
) -> None:
    """Goes on after a start: shows the plan, leaves, or follows to the end."""
    console = output.out()
    if dry_run:
        if as_json:
            output.print_json(started)
        else:
            console.print("The request is valid. It would run:")
            console.print(overview.status(started))
        return
    if detach:
        if as_json:
            output.print_json(started)
        else:
            console.print(f"Started {started.orchestration_id}; it runs on without you.")
            following.print_way_back(console, started.orchestration_id)
        return
    raise typer.Exit(following.follow(client, started.orchestration_id, as_json=as_json))
