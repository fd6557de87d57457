"""`crescendo search compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from crescendo.cli import (
    arguments,
    budget_options,
    options,
    result_options,
    role_options,
    scale_options,
    space_arguments,
)
from crescendo.cli.search.starting import budget, go_on, pruning, stage_stopping, stopping
from crescendo.cli.targets import ModelChoice, parsed


def compare(
    *,
    model_runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL_RUN", help="Model runs' ids; or use --dataset and several --model."
        ),
    ] = None,
    dataset: options.DatasetOption = None,
    target: options.TargetOption = None,
    group_column: role_options.GroupOption = "",
    time_column: role_options.TimeOption = "",
    weight_column: role_options.WeightOption = "",
    fold_column: role_options.FoldOption = "",
    positive_label: role_options.PositiveOption = "",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="TYPE",
            help="A model type to compare; repeatable.",
            rich_help_panel=options.MODEL_PANEL,
        ),
    ] = None,
    step: options.StepOption = None,
    experiment: options.ExperimentOption = None,
    grids: Annotated[
        str | None,
        typer.Option(
            "--grids",
            metavar="FILE|JSON",
            help='Grids by model type or model run id, such as \'{"svm_classifier": {"C": [1, 10]}}\'.',
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    distributions: Annotated[
        str | None,
        typer.Option(
            "--distributions",
            metavar="FILE|JSON",
            help="Ranges by model type or model run id, beside grids, such as"
            ' \'{"svm_classifier": {"C": "loguniform(0.01,100)"}}\'.',
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    spaces: Annotated[
        str | None,
        typer.Option(
            "--spaces",
            metavar="FILE|JSON",
            help="Typed search spaces by model type or model run id, the JSON form of"
            " tuning.v1.SearchSpace; instead of a grid.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    scales: scale_options.ScalesOption = None,
    grid_resolution: options.ResolutionOption = None,
    method: options.MethodOption = None,
    trials: options.TrialsOption = None,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential",
            help="Tune one model after another instead of all at once.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = False,
    metric: options.MetricOption = None,
    folds: options.FoldsOption = None,
    splitter: options.SplitterOption = None,
    weighted_scoring: options.WeightedScoringOption = None,
    train_scores: result_options.TrainScoresOption = None,
    select: result_options.SelectOption = None,
    simpler: result_options.SimplerOption = None,
    seed: options.SeedOption = None,
    max_concurrent: options.ConcurrencyOption = None,
    name: options.StudyOption = None,
    prune: options.PruneOption = None,
    keep: options.KeepOption = None,
    space_type: options.SpaceTypeOption = None,
    config_type: options.ConfigTypeOption = None,
    max_trials: budget_options.MaxTrialsOption = None,
    max_failed: budget_options.MaxFailedOption = None,
    max_time: budget_options.MaxTimeOption = None,
    max_cost: budget_options.MaxCostOption = None,
    price: budget_options.PriceOption = None,
    trial_timeout: budget_options.TrialTimeoutOption = None,
    plateau: budget_options.PlateauOption = None,
    min_improvement: budget_options.MinImprovementOption = None,
    target_score: budget_options.TargetScoreOption = None,
    stage_plateau: budget_options.StagePlateauOption = None,
    stage_target: budget_options.StageTargetOption = None,
    priority: budget_options.PriorityOption = None,
    worker_class: budget_options.WorkerClassOption = None,
    dry_run: options.DryRunOption = False,
    detach: options.DetachOption = False,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
    store: options.StoreOption = None,
) -> None:
    """Tune several models by one method, on the same folds, metric and seed, and rank them.

    Models without a grid use their type's default one.
    """
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
        models=model or [],
        steps=step or [],
        experiment=experiment,
    )
    given = parsed("--grids", lambda: space_arguments.parse_grids(grids))
    spread = parsed(
        "--distributions",
        lambda: space_arguments.distributions_of(
            {} if distributions is None else arguments.read_json(distributions)
        ),
    )
    scaled = parsed(
        "--scales",
        lambda: space_arguments.scales_of({} if scales is None else arguments.read_json(scales)),
    )
    typed = parsed("--spaces", lambda: space_arguments.parse_space(spaces)) or {}
    pruned = pruning(prune, keep)
    limits = budget(
        max_trials=max_trials,
        max_failed=max_failed,
        max_time=max_time,
        max_cost=max_cost,
        price=price,
        trial_timeout=trial_timeout,
    )
    splits = parsed("--splitter", lambda: arguments.parse_splitter(splitter))
    selected = result_options.selection(select, simpler)
    with options.client(coordinator, store) as client:
        by_type = chosen.compared_model_runs(client, model_runs or [], (*given, *typed, *scaled))
        started = client.compare(
            list(by_type),
            method=method,
            grids={
                key: values
                for given_key, values in given.items()
                for key in ids_named(given_key, by_type)
            },
            distributions={
                key: each
                for given_key, each in spread.items()
                for key in ids_named(given_key, by_type)
            },
            search_spaces={
                key: each
                for given_key, each in typed.items()
                for key in ids_named(given_key, by_type)
            },
            scales={
                key: each
                for given_key, each in scaled.items()
                for key in ids_named(given_key, by_type)
            },
            grid_resolution=grid_resolution,
            cv_folds=folds,
            splitter=splits,
            weighted_scoring=weighted_scoring,
            return_train_scores=train_scores,
            selection=selected,
            scoring_metric=metric,
            n_iter=trials,
            parallel=False if sequential else None,
            random_state=seed,
            max_concurrent_trials=max_concurrent,
            space_type=space_type,
            config_type=config_type,
            budget=limits,
            stopping=stopping(
                plateau=plateau,
                min_improvement=min_improvement
                if plateau is not None or stage_plateau is None
                else None,
                target=target_score,
            ),
            stage_stopping=stage_stopping(
                plateau=stage_plateau, min_improvement=min_improvement, target=stage_target
            ),
            pruning=pruned,
            priority=priority,
            worker_class=worker_class,
            study_name=name,
            validate_only=dry_run,
        )
        go_on(client, started, dry_run=dry_run, detach=detach, as_json=as_json)


def ids_named(key: str, by_type: dict[str, str]) -> list[str]:
    """Gives the model runs a grid is for, by id or by model type."""
    ids = [each for each, model_type in by_type.items() if key in (each, model_type)]
    # An unknown name goes to the server, whose answer lists everything that is wrong at once.
    return ids or [key]
