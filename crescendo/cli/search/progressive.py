"""`crescendo search progressive`."""

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


def progressive(
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
    param: options.ParamOption = None,
    grid: options.GridOption = None,
    distribution: options.DistributionOption = None,
    space: options.SpaceOption = None,
    log: scale_options.LogOption = None,
    linear: scale_options.LinearOption = None,
    grid_resolution: options.ResolutionOption = None,
    random: Annotated[
        int | None,
        typer.Option(
            "--random",
            metavar="N",
            help="Trials of the random stage, 50.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    bayesian: Annotated[
        int | None,
        typer.Option(
            "--bayesian",
            metavar="N",
            help="Trials of the bayesian stage, 30.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    factor: Annotated[
        float | None,
        typer.Option(
            "--factor",
            metavar="F",
            help="How far ranges narrow between stages, in (0, 1], 0.3; smaller is narrower.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    refinement: Annotated[
        str | None,
        typer.Option(
            "--refinement",
            metavar="RULE",
            help="fixed (default): ranges narrow by the factor; adaptive: the more the top trials agree,"
            " the more.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    explore: Annotated[
        float | None,
        typer.Option(
            "--explore",
            metavar="SHARE",
            help="Share of points that look beyond refined ranges, 0 to 1, 0.2; 0 for none.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
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
    """Search coarse to fine: a grid, then random, then bayesian, each on the space refined from before.

    Without --param, --grid, --distribution and --space the model type's default grid is searched.
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
        models=[model] if model else [],
        fixed=fixed or [],
        steps=step or [],
        experiment=experiment,
    )
    values = parsed("--param / --grid", lambda: space_arguments.parse_grid(grid, param or []))
    spread = parsed(
        "--distribution", lambda: space_arguments.parse_distributions(distribution or [])
    )
    typed = parsed("--space", lambda: space_arguments.parse_space(space))
    scales = parsed(
        "--log / --linear", lambda: space_arguments.parse_scales(log or [], linear or [])
    )
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
        model_run_id = chosen.model_run_id(client, model_run)
        started = client.start_progressive_search(
            model_run_id,
            values,
            distributions=spread,
            search_space=typed,
            scales=scales,
            grid_resolution=grid_resolution,
            refinement_factor=factor,
            refinement=refinement,
            explore=explore,
            cv_folds=folds,
            splitter=splits,
            weighted_scoring=weighted_scoring,
            return_train_scores=train_scores,
            selection=selected,
            scoring_metric=metric,
            n_iter_random=random,
            n_iter_bayesian=bayesian,
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
