"""`crescendo search cross-validate`."""

from __future__ import annotations

from typing import Annotated

import typer

from crescendo.cli import arguments, budget_options, options, result_options, role_options
from crescendo.cli.search.starting import go_on
from crescendo.cli.targets import ModelChoice, parsed


def cross_validate(
    *,
    model_run: options.ModelRunArgument = None,
    dataset: options.DatasetOption = None,
    target: options.TargetOption = None,
    group_column: role_options.GroupOption = "",
    time_column: role_options.TimeOption = "",
    weight_column: role_options.WeightOption = "",
    fold_column: role_options.FoldOption = "",
    positive_label: role_options.PositiveOption = "",
    model: options.ModelOption = None,
    fixed: options.FixedOption = None,
    step: options.StepOption = None,
    experiment: options.ExperimentOption = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Set a parameter for this validation; repeatable.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="SCORER",
            help="A scikit-learn scorer; repeatable; usual ones by default.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    folds: options.FoldsOption = None,
    splitter: options.SplitterOption = None,
    weighted_scoring: options.WeightedScoringOption = None,
    train_scores: result_options.TrainScoresOption = None,
    seed: options.SeedOption = None,
    worker_class: budget_options.WorkerClassOption = None,
    dry_run: options.DryRunOption = False,
    detach: options.DetachOption = False,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
    store: options.StoreOption = None,
) -> None:
    """Cross-validate a model as it is, without tuning."""
    chosen = ModelChoice(
        dataset=dataset,
        target=target,
        roles=role_options.roles(
            group=group_column,
            time=time_column,
            weight=weight_column,
            fold=fold_column,
            positive=positive_label,
        ),
        models=[model] if model else [],
        fixed=fixed or [],
        steps=step or [],
        experiment=experiment,
    )
    values = parsed("--set", lambda: arguments.parse_parameters(parameter or []))
    splits = parsed("--splitter", lambda: arguments.parse_splitter(splitter))
    with options.client(coordinator, store) as client:
        model_run_id = chosen.model_run_id(client, model_run)
        started = client.cross_validate(
            model_run_id,
            values,
            cv_folds=folds,
            splitter=splits,
            weighted_scoring=weighted_scoring,
            return_train_scores=train_scores,
            scoring_metrics=metric or [],
            random_state=seed,
            worker_class=worker_class,
            validate_only=dry_run,
        )
        go_on(client, started, dry_run=dry_run, detach=detach, as_json=as_json)
