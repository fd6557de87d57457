"""The live view of one orchestration, for terminals."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from crescendo.cli import wording
from crescendo.client.progress import Progress, RunProgress, StageProgress
from crescendo.client.watching import Interruption

_BAR_WIDTH = 24
_NOTICES_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the view shows beside the progress itself.

    Attributes:
        elapsed_seconds: since the orchestration started.
        remaining_seconds: until it ends; None while unknown.
        interruption: the stream's drop, while it lasts.
        on_leaving: what Ctrl-C will do.
    """

    elapsed_seconds: float
    remaining_seconds: float | None
    interruption: Interruption | None = None
    on_leaving: str = ""


def render(progress: Progress, moment: Moment) -> RenderableType:
    """Gives the whole view."""
    parts: list[RenderableType] = [_headline(progress, moment), Text(), _stages(progress), Text()]
    parts.extend(_best(progress))
    if progress.refinements:
        parts.append(_labelled("Refined", progress.refinements[-1].summary))
    if progress.failed:
        parts.append(
            _labelled(
                "Failed",
                f"{wording.count(progress.failed, 'trial')}; the last: {progress.last_failure}"
                if progress.last_failure
                else wording.count(progress.failed, "trial"),
                style="red",
            )
        )
    parts.extend(
        _labelled("Note", notice.message, style="yellow")
        for notice in progress.notices[-_NOTICES_SHOWN:]
    )
    if moment.interruption is not None:
        parts.append(
            _labelled(
                "Offline",
                f"{moment.interruption.error.message}; trying again (attempt"
                f" {moment.interruption.attempt}), nothing will be missed",
                style="yellow",
            )
        )
    elif not progress.ended:
        parts.append(Text(moment.on_leaving, style="dim"))
    return Group(*parts)


def _headline(progress: Progress, moment: Moment) -> Text:
    whole = progress.orchestration
    line = Text()
    line.append(wording.method(whole.workflow).capitalize(), style="bold")
    if whole.study_name:
        line.append(f" “{whole.study_name}”")
    line.append(f"  {whole.orchestration_id}", style="dim")
    line.append(f"  {progress.state}", style=wording.STATE_STYLES.get(progress.state, ""))
    line.append(f"  {wording.duration(moment.elapsed_seconds)}")
    if progress.ended:
        return line
    if moment.remaining_seconds is not None:
        line.append(f", about {wording.duration(moment.remaining_seconds)} left")
    if progress.running:
        line.append(f", {progress.running} running")
    return line


def _stages(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(width=_BAR_WIDTH)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for stage in progress.stages:
        if len(stage.runs) == 1:
            _add_row(table, stage, stage.runs[0], wording.method(stage.method))
            continue
        for run in stage.runs:
            _add_row(table, run, run, run.model_type)
    return table


def _add_row(
    table: Table, shown: StageProgress | RunProgress, run: RunProgress, label: str
) -> None:
    style = wording.STATE_STYLES.get(shown.state, "")
    remarks = Text()
    if run.best_score is not None:
        remarks.append(f"best {wording.score(run.best_score)}")
    if run.failed:
        remarks.append(f"  {run.failed} failed", style="red")
    if shown.state in ("failed", "cancelled"):
        remarks.append(f"  {shown.message or run.message or shown.state}", style=style)
    table.add_row(
        Text(wording.STATE_MARKS.get(shown.state, "?"), style=style),
        Text(label, style="dim" if shown.state == "pending" else ""),
        ProgressBar(
            total=max(1, run.total),
            completed=run.completed if run.completed or run.state != "completed" else 1,
            width=_BAR_WIDTH,
            complete_style="cyan",
            finished_style="green",
        ),
        f"{run.completed}/{run.total}" if run.total else f"{run.completed}",
        remarks,
    )


def _best(progress: Progress) -> list[RenderableType]:
    best = progress.best
    if best is None:
        return [_labelled("Best", "no trial has ended yet", style="dim")]
    where = f"trial {best.trial_number}, {wording.method(best.method)}"
    return [
        _labelled(
            "Best",
            f"{progress.orchestration.scoring_metric} {wording.score(best.score)}"
            f"  ({best.model_type}, {where})",
            style="bold",
        ),
        _labelled("", wording.parameters(best.parameters)),
    ]


def _labelled(label: str, text: str, *, style: str = "") -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=8)
    row.add_column(overflow="fold")
    row.add_row(Text(label, style="dim"), Text(text, style=style))
    return row
