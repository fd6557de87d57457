"""Results for people: status, best model, trials, refinements."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crescendo.cli import wording
from crescendo.client.model import (
    BestModel,
    Counts,
    Metric,
    Orchestration,
    RankedModel,
    Refinement,
    Stage,
    Timings,
    Trial,
)


def status(whole: Orchestration) -> RenderableType:
    """Gives an orchestration with its stages."""
    facts = _facts()
    if whole.orchestration_id:
        facts.add_row("id", whole.orchestration_id)
    if whole.study_name:
        facts.add_row("study", whole.study_name)
    facts.add_row("state", _state(whole.state, whole.message))
    facts.add_row("trials", f"{_counts(whole.counts)}, {whole.percentage:.0f} %")
    facts.add_row("time", _time(whole.timings))
    facts.add_row(
        "scoring",
        f"{whole.scoring_metric}, {whole.cv_folds} folds, seed {whole.random_state}",
    )
    if whole.best is not None:
        facts.add_row(
            "best",
            f"{wording.score(whole.best.score)}  {whole.best.model_type}, trial"
            f" {whole.best.trial_number}, {wording.method(whole.best.method)}",
        )
        facts.add_row("", wording.parameters(whole.best.parameters))
    title = Text(wording.method(whole.workflow).capitalize(), style="bold")
    return Group(title, facts, Text(), _stage_table(whole.stages))


def best(model: BestModel) -> RenderableType:
    """Gives the best model with its scores, and the ranking where there are several."""
    facts = _facts()
    facts.add_row("model", Text(model.best.model_type, style="bold"))
    facts.add_row(model.scoring_metric, Text(wording.score(model.best.score), style="bold green"))
    for name, value in model.best.parameters.items():
        facts.add_row(f"  {name}", wording.value(value))
    facts.add_row(
        "found by", f"{wording.method(model.best.method)}, trial {model.best.trial_number}"
    )
    parts: list[RenderableType] = [facts]
    if model.trial.metrics:
        parts += [Text(), metrics(model.trial.metrics)]
    if len(model.ranking) > 1:
        parts += [Text(), ranking(model.ranking)]
    if not model.complete:
        parts += [Text(), Text("Best so far: the search is not complete.", style="yellow")]
    return Group(*parts)


def metrics(scores: Iterable[Metric]) -> Table:
    """Gives the scores of one trial: per metric the mean, the spread and every split."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("metric")
    for name in ("mean", "std", "median", "min", "max"):
        table.add_column(name, justify="right")
    table.add_column("per split")
    for each in scores:
        table.add_row(
            each.metric,
            *(
                wording.score(number)
                for number in (each.mean, each.std, each.median, each.min, each.max)
            ),
            " ".join(f"{number:.4g}" for number in each.split_scores),
        )
    return table


def ranking(models: Iterable[RankedModel]) -> Table:
    """Gives all models, best first."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("rank", justify="right")
    table.add_column("model")
    table.add_column("score", justify="right")
    table.add_column("parameters", overflow="fold")
    for each in models:
        found = each.best
        table.add_row(
            str(each.rank) if each.rank else "–",
            each.model_type,
            wording.score(found.score if found else None),
            wording.parameters(found.parameters) if found else Text(each.message, style="red"),
        )
    return table


def trials(listed: Iterable[Trial]) -> Table:
    """Gives trials as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("trial", justify="right")
    table.add_column("stage", justify="right")
    table.add_column("state")
    table.add_column("score", justify="right")
    table.add_column("std", justify="right")
    table.add_column("fit", justify="right")
    table.add_column("parameters", overflow="fold")
    for each in listed:
        spread = each.metrics[0].std if each.metrics else None
        shown = Text(wording.parameters(each.parameters))
        if each.failure is not None:
            shown.append(f"\n{each.failure.kind}: {each.failure.message}", style="red")
        table.add_row(
            str(each.number),
            str(each.stage_index + 1),
            Text(each.state, style=wording.STATE_STYLES.get(each.state, "")),
            wording.score(each.score),
            wording.score(spread),
            wording.duration(each.fit_seconds) if each.fit_seconds else "–",
            shown,
        )
    return table


def refinement(made: Refinement) -> RenderableType:
    """Gives one refinement: in words, then what happened to each parameter."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("parameter")
    table.add_column("before", overflow="fold")
    table.add_column("after", overflow="fold")
    table.add_column("why", overflow="fold")
    for each in made.parameters:
        table.add_row(
            each.name, wording.space(each.before), wording.space(each.after), each.explanation
        )
    evidence = ", ".join(str(number) for number in made.evidence_trial_numbers)
    return Group(
        Text(f"Refinement {made.refinement_id}: {made.summary}", style="bold"),
        Text(f"factor {made.refinement_factor:g}; rests on trials {evidence}", style="dim"),
        table,
    )


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
                _state(run.state, run.message),
                f"{run.counts.completed}/{run.counts.total}"
                + (f" ({run.counts.failed} failed)" if run.counts.failed else ""),
                wording.score(run.best.score if run.best else None),
                wording.duration(run.timings.duration_seconds) if run.timings.started_at else "–",
            )
    return table


def _facts() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _state(state: str, message: str) -> Text:
    text = Text(state, style=wording.STATE_STYLES.get(state, ""))
    return text.append(f": {message}") if message else text


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
