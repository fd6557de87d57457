"""How two trials compare, for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crescendo.cli import wording
from crescendo.client.model import TrialComparison

# Below this a difference is called one; the usual convention, no more than that.
_LEVEL = 0.05


def comparison(found: TrialComparison, *, first: str, second: str) -> RenderableType:
    """Gives how two trials compare: means, difference, test, and what that says.

    Args:
        first, second: what the trials are called.
    """
    facts = Table.grid(padding=(0, 2))
    facts.add_row("metric", found.metric)
    facts.add_row(first, wording.score(found.first_mean))
    facts.add_row(second, wording.score(found.second_mean))
    facts.add_row("difference", Text(f"{found.difference:+.5g}", style="bold"))
    for each in found.intervals:
        facts.add_row(f"{each.level:.0%} interval", f"{each.low:+.5g} to {each.high:+.5g}")
    if found.p_value is not None:
        facts.add_row("t", f"{found.statistic:.4g}, {found.degrees_of_freedom} degrees of freedom")
        facts.add_row("p", f"{found.p_value:.4g}")
    facts.add_row("per split", " ".join(f"{each:+.4g}" for each in found.differences))
    return Group(
        facts, Text(), Text(_verdict(found, first, second)), Text(_how(found), style="dim")
    )


def _verdict(found: TrialComparison, first: str, second: str) -> str:
    if found.p_value is None:
        return "Whether that is chance cannot be tested."
    if found.p_value >= _LEVEL:
        return f"The difference may well be chance (p = {found.p_value:.2g})."
    better, worse = (first, second) if found.difference > 0 else (second, first)
    return f"{better} is better than {worse} beyond chance (p = {found.p_value:.2g})."


def _how(found: TrialComparison) -> str:
    if found.p_value is None:
        return (
            "There is no test over a single split or a time series, whose training parts contain one"
            " another."
        )
    told = (
        "Paired corrected resampled t-test; it does not know how many candidates the two were picked"
        " from."
    )
    if found.interval_method == "corrected_t_heuristic":
        return f"{told} Over folds made once it is a heuristic; repeated folds make it firmer."
    return told
