"""Datasets and model runs for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crescendo.cli import wording
from crescendo.client.model import Dataset, ModelRun, ModelType

# Wide tables have thousands of columns; a screen has not.
_COLUMNS_SHOWN = 50


def datasets(listed: Iterable[Dataset]) -> Table:
    """Gives datasets as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("id", no_wrap=True)
    table.add_column("name")
    table.add_column("task")
    table.add_column("rows", justify="right")
    table.add_column("features", justify="right")
    table.add_column("target")
    table.add_column("size", justify="right")
    for each in listed:
        known = each.row_count > 0
        table.add_row(
            each.dataset_id,
            each.name,
            each.task,
            f"{each.row_count:,}" if known else "–",
            str(len(each.columns)) if known else "–",
            each.target_column,
            wording.size(each.size_bytes) if known else "–",
        )
    return table


def dataset(shown: Dataset) -> RenderableType:
    """Gives one dataset with its columns and classes."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("id", shown.dataset_id)
    facts.add_row("name", shown.name)
    facts.add_row("task", shown.task)
    facts.add_row("target", shown.target_column)
    facts.add_row("rows", f"{shown.row_count:,}")
    if shown.classes:
        facts.add_row(
            "classes", ", ".join(f"{label}: {rows:,}" for label, rows in shown.classes.items())
        )
    for name, what in _roles(shown).items():
        facts.add_row(name, what)
    facts.add_row("size", wording.size(shown.size_bytes))
    facts.add_row("content", f"sha256:{shown.content_hash}")
    if not shown.built_in:
        facts.add_row("uploaded", wording.instant(shown.created_at))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("feature")
    table.add_column("type")
    table.add_column("missing", justify="right")
    for column in shown.columns[:_COLUMNS_SHOWN]:
        table.add_row(column.name, column.type, str(column.missing_count))
    more = len(shown.columns) - _COLUMNS_SHOWN
    rest = [Text(f"… and {more} more (--json lists all)", style="dim")] if more > 0 else []
    return Group(facts, Text(), table, *rest)


def _roles(shown: Dataset) -> dict[str, str]:
    roles = shown.roles
    named = {
        "groups": f"{roles.group_column} ({shown.group_count:,})" if roles.group_column else "",
        "time": roles.time_column,
        "weights": roles.weight_column,
        "folds": f"{roles.fold_column} ({shown.fold_count:,})" if roles.fold_column else "",
        "positive": roles.positive_label,
    }
    return {name: what for name, what in named.items() if what}


def model_runs(listed: Iterable[ModelRun]) -> Table:
    """Gives model runs as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("id", no_wrap=True)
    table.add_column("model", overflow="fold")
    table.add_column("dataset", overflow="fold")
    table.add_column("steps", overflow="fold")
    table.add_column("fixed", overflow="fold")
    table.add_column("experiment")
    table.add_column("created", no_wrap=True)
    for each in listed:
        table.add_row(
            each.model_run_id,
            each.model_type,
            each.dataset_id,
            _steps(each),
            wording.parameters(each.fixed_parameters) if each.fixed_parameters else "–",
            each.experiment,
            wording.age(each.created_at),
        )
    return table


def model_run(shown: ModelRun) -> RenderableType:
    """Gives one model run."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("id", shown.model_run_id)
    facts.add_row("model", shown.model_type)
    facts.add_row("dataset", shown.dataset_id)
    facts.add_row("experiment", shown.experiment)
    facts.add_row("fixed", wording.parameters(shown.fixed_parameters))
    facts.add_row("steps", _steps(shown))
    facts.add_row("created", wording.instant(shown.created_at))
    return facts


def model_types(listed: Iterable[ModelType]) -> Table:
    """Gives model types as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("model", no_wrap=True)
    table.add_column("task")
    table.add_column("library")
    table.add_column("searches by default", overflow="fold")
    for each in listed:
        names = ", ".join(parameter.name for parameter in each.default_grid)
        table.add_row(each.model_type, each.task, each.library, names)
    return table


def model_type(shown: ModelType) -> Table:
    """Gives what is searched of one model type: a row a parameter, a column a space."""
    spaces = {"grid": shown.default_grid, **shown.preset_spaces}
    table = Table(
        box=None,
        pad_edge=False,
        header_style="dim",
        padding=(0, 2, 0, 0),
        title=f"{shown.model_type} ({shown.task}, {shown.library})",
        title_justify="left",
    )
    table.add_column("parameter", no_wrap=True)
    for name in spaces:
        table.add_column(name, overflow="fold")
    parameters = dict.fromkeys(each.name for space in spaces.values() for each in space)
    for parameter in sorted(parameters):
        cells = [
            next((wording.space(each) for each in space if each.name == parameter), "–")
            for space in spaces.values()
        ]
        table.add_row(parameter, *cells)
    return table


def _steps(shown: ModelRun) -> str:
    if not shown.steps:
        return "–"
    return " → ".join(
        each.type + (f" ({wording.parameters(each.parameters)})" if each.parameters else "")
        for each in shown.steps
    )
