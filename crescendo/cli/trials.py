"""Commands about single trials: one with where it came from, two compared."""

from __future__ import annotations

from typing import Annotated

import typer

from crescendo.cli import options, output
from crescendo.cli.views.comparing import comparison
from crescendo.cli.views.tracing import traced

EXAMPLES = r"""Examples:

    crescendo trials ID --best -n 2                     # which ones came out best
    crescendo compare-trials ID 17 4                    # is trial 17 better than trial 4?
    crescendo compare-trials ID 17 3 --with OTHER_ID    # than trial 3 of another search?"""


def trial(
    *,
    orchestration_id: options.OrchestrationArgument,
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="The trial's number.")],
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Show one trial with its scores, and where its parameters came from."""
    with options.client(None, store) as client:
        found = client.trial(orchestration_id, number)
    if as_json:
        output.print_json(found)
    else:
        output.out().print(traced(found))


def compare_trials(
    *,
    orchestration_id: options.OrchestrationArgument,
    first: Annotated[int, typer.Argument(metavar="FIRST", min=0, help="A trial's number.")],
    second: Annotated[int, typer.Argument(metavar="SECOND", min=0, help="Another trial's number.")],
    other: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="ID",
            help="The second trial's orchestration, when it is another one.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="SCORER",
            help="Compare by this metric, which both have; the objective by default.",
            show_default=False,
        ),
    ] = None,
    as_json: options.JsonOption = False,
    store: options.StoreOption = None,
) -> None:
    """Say whether one trial is better than another, or whether that may be chance.

    Both must have succeeded on the same splits of the same data. The test is the paired corrected
    resampled t-test, which knows that splits share rows.
    """
    with options.client(None, store) as client:
        found = client.compare_trials(
            orchestration_id, first, second, second_orchestration_id=other, metric=metric
        )
    if as_json:
        output.print_json(found)
        return
    there = "" if other is None else f" of {other}"
    output.out().print(comparison(found, first=f"trial {first}", second=f"trial {second}{there}"))
