"""`crescendo search plan`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

import typer

from crescendo.cli import arguments, budget_options, options, result_options, role_options
from crescendo.cli.search.comparison import ids_named
from crescendo.cli.search.plan_file import parse_plan
from crescendo.cli.search.start_options import BaselineOption
from crescendo.cli.search.starting import budget, go_on, pruning, stopping
from crescendo.cli.targets import ModelChoice, parsed

_Given = TypeVar("_Given")


def plan(
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|JSON",
            help="The plan: its stages, and spaces and points where they are not the default.",
        ),
    ],
    model_runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL_RUN", help="Model runs' ids; or use --dataset and --model."),
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
            help="A model type every stage tunes; repeatable.",
            rich_help_panel=options.MODEL_PANEL,
        ),
    ] = None,
    step: options.StepOption = None,
    experiment: options.ExperimentOption = None,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential",
            help="Within a stage, tune one model after another instead of all at once.",
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
    grid_resolution: options.ResolutionOption = None,
    space_type: options.SpaceTypeOption = None,
    baseline: BaselineOption = None,
    seed: options.SeedOption = None,
    max_concurrent: options.ConcurrencyOption = None,
    name: options.StudyOption = None,
    config_type: options.ConfigTypeOption = None,
    max_trials: budget_options.MaxTrialsOption = None,
    max_failed: budget_options.MaxFailedOption = None,
    max_time: budget_options.MaxTimeOption = None,
    max_cost: budget_options.MaxCostOption = None,
    price: budget_options.PriceOption = None,
    trial_timeout: budget_options.TrialTimeoutOption = None,
    prune: options.PruneOption = None,
    keep: options.KeepOption = None,
    plateau: budget_options.PlateauOption = None,
    min_improvement: budget_options.MinImprovementOption = None,
    target_score: budget_options.TargetScoreOption = None,
    priority: budget_options.PriorityOption = None,
    worker_class: budget_options.WorkerClassOption = None,
    dry_run: options.DryRunOption = False,
    detach: options.DetachOption = False,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
    store: options.StoreOption = None,
) -> None:
    """Run stages of your own, each on what those before it have found.

    A stage says its method and, if you like: n_iter (trials per model, 20, or a share of --config-type's),
    parameters (those it searches; the others are held at their best so far), refinement (none, fixed or
    adaptive), refinement_factor (0.3), explore (0.2), radius (of local, 0.2), stopping (plateau_trials,
    min_improvement, target_score) and pruning (in place of --prune).

    Beside "stages" the file may give, by model type or model run: "grids", "distributions" such as
    {"C": "loguniform(0.01,100)"}, "spaces" (typed), "scales" of lists such as {"C": "log"}, and "points" to
    try first. --dry-run shows what a plan comes down to.
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
    given = parsed("FILE", lambda: parse_plan(file))
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
        named = (*given.grids, *given.distributions, *given.spaces, *given.scales, *given.points)
        by_type = chosen.compared_model_runs(client, model_runs or [], named)
        started = client.start_plan(
            list(by_type),
            given.stages,
            grids=_by_model_run(given.grids, by_type),
            distributions=_by_model_run(given.distributions, by_type),
            search_spaces=_by_model_run(given.spaces, by_type),
            scales=_by_model_run(given.scales, by_type),
            points_to_try=_by_model_run(given.points, by_type),
            try_current_parameters=baseline,
            space_type=space_type,
            config_type=config_type,
            grid_resolution=grid_resolution,
            cv_folds=folds,
            splitter=splits,
            weighted_scoring=weighted_scoring,
            return_train_scores=train_scores,
            selection=selected,
            pruning=pruning(prune, keep),
            scoring_metric=metric,
            parallel=False if sequential else None,
            random_state=seed,
            max_concurrent_trials=max_concurrent,
            budget=limits,
            stopping=stopping(
                plateau=plateau, min_improvement=min_improvement, target=target_score
            ),
            priority=priority,
            worker_class=worker_class,
            study_name=name,
            validate_only=dry_run,
        )
        go_on(client, started, dry_run=dry_run, detach=detach, as_json=as_json)


def _by_model_run(given: Mapping[str, _Given], by_type: dict[str, str]) -> dict[str, _Given]:
    return {run: each for key, each in given.items() for run in ids_named(key, by_type)}
