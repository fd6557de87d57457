"""One trial with where it came from, for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from crescendo.cli import wording
from crescendo.cli.views.results import scores
from crescendo.cli.views.tables import facts_table
from crescendo.client.model import TracedTrial


def traced(found: TracedTrial) -> RenderableType:
    """Gives a trial: what it tried, what it rests on, and what came of it."""
    trial, lineage = found.trial, found.lineage
    facts = facts_table()
    facts.add_row("trial", f"{trial.number}, stage {trial.stage_index + 1}")
    facts.add_row("state", Text(trial.state, style=wording.STATE_STYLES.get(trial.state, "")))
    if trial.score is not None:
        facts.add_row("score", Text(wording.score(trial.score), style="bold"))
    if trial.failure is not None:
        facts.add_row("failure", f"{trial.failure.kind}: {trial.failure.message}")
    for name, value in trial.parameters.items():
        facts.add_row(f"  {name}", wording.value(value))
    facts.add_row("from", lineage.summary)
    if lineage.refinement_summary:
        facts.add_row(f"refinement {lineage.refinement_id}", lineage.refinement_summary)
    if lineage.baseline_trial_number is not None:
        facts.add_row("baseline", f"trial {lineage.baseline_trial_number}")
    facts.add_row(
        "suggestion",
        f"{trial.suggestion_index} of its tuning run, which had seen event"
        f" {trial.suggested_at_sequence}",
    )
    return Group(facts, *scores(trial))
