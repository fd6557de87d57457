"""Results for people: best model, trials, refinements, histories."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crescendo.cli import wording
from crescendo.cli.views import pruning
from crescendo.cli.views.tables import facts_table
from crescendo.client.model import (
    BestModel,
    Metric,
    RankedModel,
    Refinement,
    RunHistory,
    SplitFacts,
    Trial,
)

_OPTIMISTIC = (
    "OPTIMISTIC: boosting was stopped by the rows this score is measured on (early_stopping_set is"
    " test_fold); an honest one is lower."
)


def best(model: BestModel) -> RenderableType:
    """Gives the best model with its scores, and the ranking where there are several."""
    facts = facts_table()
    facts.add_row("model", Text(model.best.model_type, style="bold"))
    facts.add_row(model.scoring_metric, Text(wording.score(model.best.score), style="bold green"))
    for name, value in model.best.parameters.items():
        facts.add_row(f"  {name}", wording.value(value))
    facts.add_row(
        "found by", f"{wording.method(model.best.method)}, trial {model.best.trial_number}"
    )
    if model.trial.final_rounds is not None:
        facts.add_row("rounds", f"{model.trial.final_rounds} for a fit on all rows (median)")
    if (made := model.selection) is not None:
        facts.add_row("selected", made.reason)
        facts.add_row(
            "best by score",
            f"{wording.score(made.best_by_score.score)}, trial {made.best_by_score.trial_number}:"
            f" {wording.parameters(made.best_by_score.parameters)}",
        )
    parts: list[RenderableType] = [facts, *scores(model.trial)]
    if len(model.ranking) > 1:
        parts += [Text(), ranking(model.ranking)]
    if not model.complete:
        parts += [Text(), Text("Best so far: the search is not complete.", style="yellow")]
    return Group(*parts)


def scores(trial: Trial) -> list[RenderableType]:
    """Gives the scores of one trial and what its splits took, each behind an empty line."""
    parts: list[RenderableType] = []
    if trial.optimistic:
        parts += [Text(), Text(_OPTIMISTIC, style="yellow")]
    if trial.metrics:
        parts += [Text(), metrics(trial.metrics)]
        if note := _interval_note(trial):
            parts.append(Text(note, style="dim"))
    if trial.splits:
        parts += [Text(), splits(trial.splits)]
    return parts


def metrics(scores: Iterable[Metric]) -> Table:
    """Gives the scores of one trial: per metric the mean, its interval, the spread and every split."""
    scores = list(scores)
    levels = [each.level for metric in scores[:1] for each in metric.intervals]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("metric")
    for name in ("mean", "std", "median", "min", "max"):
        table.add_column(name, justify="right")
    for level in levels:
        table.add_column(f"{level:.0%} interval", justify="right")
    trained = any(each.train_scores for each in scores)
    if trained:
        table.add_column("train mean", justify="right")
    table.add_column("per split")
    for each in scores:
        table.add_row(
            each.metric,
            *(
                wording.score(number)
                for number in (each.mean, each.std, each.median, each.min, each.max)
            ),
            *(_interval(each, level) for level in levels),
            *([wording.score(each.train_mean)] if trained else []),
            " ".join(f"{number:.4g}" for number in each.split_scores),
        )
    return table


def splits(facts: Iterable[SplitFacts]) -> Table:
    """Gives what each split of a trial took."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    facts = list(facts)
    stops_early = any(each.best_rounds is not None for each in facts)
    for name in ("split", "train rows", "test rows", "fit", "score"):
        table.add_column(name, justify="right")
    if stops_early:
        table.add_column("best round", justify="right")
    for place, each in enumerate(facts):
        table.add_row(
            str(place),
            f"{each.train_rows:,}",
            f"{each.test_rows:,}",
            wording.duration(each.fit_seconds),
            wording.duration(each.score_seconds),
            *([f"{each.best_rounds or '–'}"] if stops_early else []),
        )
    return table


def _interval(metric: Metric, level: float) -> str:
    found = next((each for each in metric.intervals if each.level == level), None)
    if found is None:
        return "–"
    return f"{wording.score(found.low)} to {wording.score(found.high)}"


def _interval_note(trial: Trial) -> str:
    if not any(each.intervals for each in trial.metrics):
        return ""
    if trial.interval_method == "corrected_t_heuristic":
        return "Intervals by the corrected resampled t; over folds made once it is a heuristic."
    return "Intervals by the corrected resampled t."


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
    table.add_column("from")
    table.add_column("parameters", overflow="fold")
    for each in listed:
        # A trial that was stopped early has the folds it made, and neither a mean nor a spread of all.
        spread = each.metrics[0].std if each.metrics and each.score is not None else None
        shown = Text(wording.parameters(each.parameters))
        if each.copied_from is not None:
            shown.append(f"\nthe result of trial {each.copied_from}, not run again", style="dim")
        if each.optimistic:
            shown.append("\nOPTIMISTIC: stopped by its test folds", style="yellow")
        if each.failure is not None:
            shown.append(f"\n{each.failure.kind}: {each.failure.message}", style="red")
        if (stop := each.prune_decision) is not None:
            shown.append(f"\n{pruning.told(stop)}", style="magenta")
        table.add_row(
            str(each.number),
            str(each.stage_index + 1),
            Text(each.state, style=wording.STATE_STYLES.get(each.state, "")),
            wording.score(each.score),
            wording.score(spread),
            wording.duration(each.fit_seconds) if each.fit_seconds else "–",
            each.phase.replace("_", " "),
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
        Text(
            f"{made.rule} refinement, factor {made.refinement_factor:g}; rests on trials {evidence}",
            style="dim",
        ),
        table,
    )


def history(run: RunHistory) -> RenderableType:
    """Gives how a tuning run went: its figures, and the steps of its best-so-far curve."""
    title = Text(
        f"Stage {run.stage_index + 1}: {wording.method(run.method)} of {run.model_type}",
        style="bold",
    )
    if not run.improvements:
        return Group(title, Text("no trial has a score yet", style="dim"))
    figures = f"{wording.count(run.scored_trials, 'trial')}, mean {wording.score(run.mean)}"
    if run.std is not None:
        figures += f" ± {run.std:.4g}"
    if run.expected_improvement is not None:
        figures += f"; one more like those may be expected to add {run.expected_improvement:.2g}"
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("after", justify="right")
    table.add_column("trial", justify="right")
    table.add_column("best", justify="right")
    table.add_column("gain", justify="right")
    previous: float | None = None
    for each in run.improvements:
        gain = "" if previous is None else f"+{each.score - previous:.4g}"
        table.add_row(
            str(each.trials_before + 1), str(each.trial_number), wording.score(each.score), gain
        )
        previous = each.score
    return Group(title, Text(figures, style="dim"), table)
