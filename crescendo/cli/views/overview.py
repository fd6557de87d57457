"""Orchestrations for people: what they are, how far they are, on what terms they run."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crescendo.cli import wording
from crescendo.cli.views import pruning
from crescendo.cli.views.tables import facts_table
from crescendo.client.model import (
    Baseline,
    Counts,
    Orchestration,
    Stage,
    StoppingRules,
    Timings,
    TuningRun,
)


def status(whole: Orchestration) -> RenderableType:
    """Gives an orchestration with its stages."""
    facts = facts_table()
    if whole.orchestration_id:
        facts.add_row("id", whole.orchestration_id)
    if whole.study_name:
        facts.add_row("study", whole.study_name)
    facts.add_row("state", _state(whole.state, whole.message, whole.reason))
    facts.add_row("trials", f"{_counts(whole.counts)}, {whole.percentage:.0f} %")
    facts.add_row("time", _time(whole.timings))
    for place, stopping in enumerate(pruning.asked(whole)):
        facts.add_row("" if place else "pruning", stopping)
    if limits := _budget(whole):
        facts.add_row("budget", limits)
    if rules := _rules(whole.stopping):
        facts.add_row("ends early", rules)
    if stage_rules := _stage_rules(whole.stages):
        facts.add_row("stages", f"end early: {stage_rules}")
    if whole.priority:
        facts.add_row("priority", str(whole.priority))
    if whole.worker_class not in ("", "default"):
        facts.add_row("workers", whole.worker_class)
    facts.add_row(
        "scoring",
        f"{whole.scoring_metric}, {_splits(whole)}, seed {whole.random_state}",
    )
    if whole.selection.simpler:
        order = ", then ".join(f"{how} {name}" for name, how in whole.selection.simpler.items())
        facts.add_row("selects", f"the simplest within one standard error of the best: {order}")
    if whole.best is not None:
        facts.add_row(
            "best",
            f"{wording.score(whole.best.score)}  {whole.best.model_type}, trial"
            f" {whole.best.trial_number}, {wording.method(whole.best.method)}",
        )
        facts.add_row("", wording.parameters(whole.best.parameters))
    for run in (run for stage in whole.stages for run in stage.tuning_runs):
        if run.baseline is not None and run.baseline.score is not None:
            facts.add_row("baseline", _baseline(run, run.baseline))
    title = Text(wording.method(whole.workflow).capitalize(), style="bold")
    return Group(title, facts, Text(), _stage_table(whole.stages))


def _baseline(run: TuningRun, baseline: Baseline) -> str:
    gain = baseline.improvement
    better = f", improved by {wording.score(gain)}" if gain else ", not improved"
    return (
        f"{wording.score(baseline.score)}  {run.model_type} as it is now, trial"
        f" {baseline.trial_number}{better}"
    )


def _splits(whole: Orchestration) -> str:
    runs = (run for stage in whole.stages for run in stage.tuning_runs)
    # All tuning runs of an orchestration are scored on the same splits.
    splitter = next((run.splitter for run in runs), None)
    if splitter is None:
        return f"{whole.cv_folds} folds"
    return f"{whole.cv_folds} splits by {splitter.type}"


def orchestrations(listed: Iterable[Orchestration]) -> Table:
    """Gives orchestrations as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("id", no_wrap=True)
    table.add_column("workflow", no_wrap=True)
    table.add_column("state")
    table.add_column("trials", justify="right")
    table.add_column("best", justify="right")
    table.add_column("started", no_wrap=True)
    table.add_column("study")
    for each in listed:
        table.add_row(
            each.orchestration_id,
            wording.method(each.workflow),
            Text(each.state, style=wording.STATE_STYLES.get(each.state, "")),
            f"{each.counts.completed}/{each.counts.total}",
            wording.score(each.best.score if each.best else None),
            wording.age(each.timings.created_at),
            each.study_name,
        )
    return table


def _stage_table(stages: Iterable[Stage]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("stage", justify="right")
    table.add_column("method")
    table.add_column("model")
    table.add_column("state")
    table.add_column("trials", justify="right")
    table.add_column("best", justify="right")
    table.add_column("time", justify="right")
    for stage in stages:
        for run in stage.tuning_runs:
            fallen = run.method_used and run.method_used != run.method
            table.add_row(
                str(stage.index + 1),
                f"{wording.method(run.method)}"
                + (f" → {wording.method(run.method_used)}" if fallen else ""),
                run.model_type,
                _state(run.state, run.message, run.reason),
                f"{run.counts.completed}/{run.counts.total}"
                + (f" ({run.counts.failed} failed)" if run.counts.failed else ""),
                wording.score(run.best.score if run.best else None),
                wording.duration(run.timings.duration_seconds) if run.timings.started_at else "–",
            )
    return table


def _state(state: str, message: str, reason: str) -> Text:
    text = Text(state, style=wording.STATE_STYLES.get(state, ""))
    # "completed, completed" says nothing more.
    if reason and reason.lower() != state:
        text.append(f", {wording.reason(reason)}")
    return text.append(f": {message}") if message else text


def _budget(whole: Orchestration) -> str:
    """Gives what was used of each limit, and what was spent where there is a price."""
    budget, used, counts = whole.budget, whole.used, whole.counts
    parts: list[str] = []
    if budget.max_trials is not None:
        made = counts.completed + counts.queued + counts.running - used.copied_trials
        parts.append(f"{made} of {wording.count(budget.max_trials, 'trial')}")
    if budget.max_failed_trials is not None:
        parts.append(f"{counts.failed} of {budget.max_failed_trials} failed")
    if budget.max_seconds is not None:
        parts.append(
            f"{wording.duration(used.active_seconds)} of {wording.duration(budget.max_seconds)}"
        )
    if budget.price_per_hour is not None:
        limit = "" if budget.max_cost is None else f" of {budget.max_cost:g}"
        held = f" and {used.reserved_cost:.4g} held" if used.reserved_cost else ""
        parts.append(f"cost {used.cost:.4g}{limit}{held}")
    if budget.trial_timeout_seconds is not None:
        parts.append(f"{wording.duration(budget.trial_timeout_seconds)} a trial")
    return ", ".join(parts)


def _rules(rules: StoppingRules) -> str:
    """Gives stopping rules in words; empty without any."""
    parts: list[str] = []
    if rules.plateau_trials is not None:
        step = f" by more than {rules.min_improvement:g}" if rules.min_improvement else ""
        parts.append(
            f"after {wording.count(rules.plateau_trials, 'trial')} without improvement{step}"
        )
    if rules.target_score is not None:
        parts.append(f"at a score of {rules.target_score:g}")
    return ", or ".join(parts)


def _stage_rules(stages: Iterable[Stage]) -> str:
    found = {
        f"{stage.index + 1}": _rules(run.stopping) for stage in stages for run in stage.tuning_runs
    }
    if len(set(found.values())) < 2:
        return next(iter(found.values()), "")
    return "; ".join(f"{index} {words}" for index, words in found.items() if words)


def _counts(counts: Counts) -> str:
    parts = [f"{counts.completed} of {counts.total} ended"]
    parts += [
        f"{number} {name}"
        for name, number in (
            ("running", counts.running),
            ("queued", counts.queued),
            ("failed", counts.failed),
            ("pruned", counts.pruned),
            ("cancelled", counts.cancelled),
        )
        if number
    ]
    return ", ".join(parts)


def _time(timings: Timings) -> str:
    text = (
        f"{wording.duration(timings.duration_seconds)} since {wording.instant(timings.started_at)}"
    )
    if timings.ended_at is not None:
        return f"{wording.duration(timings.duration_seconds)}, ended {wording.instant(timings.ended_at)}"
    if timings.remaining_seconds is not None:
        text += f", about {wording.duration(timings.remaining_seconds)} left"
    return text if timings.started_at is not None else "not started"
