"""`crescendo search …`: starting orchestrations."""

from __future__ import annotations

from typing import Annotated

import typer

from crescendo.cli import arguments, following, options, output
from crescendo.cli.targets import ModelChoice, parsed
from crescendo.cli.views import results
from crescendo.client.library import Crescendo
from crescendo.client.model import Orchestration

_PROGRESSIVE = r"""Examples:

    crescendo search progressive --dataset sklearn:breast_cancer \
        --model random_forest_classifier \
        --param n_estimators=20,50,100 --param max_depth=5,10,null

    crescendo search progressive --dataset churn.csv --target churned \
        --model svm_classifier --step standard_scaler --metric roc_auc --detach"""
_COMPARE = r"""Example:

    crescendo search compare --dataset sklearn:wine \
        --model random_forest_classifier --model svm_classifier \
        --model logistic_regression --step standard_scaler"""
_TUNE = r"""Example:

    crescendo search tune --dataset sklearn:digits --model svm_classifier \
        --method random_search --trials 40 --param C=0.1,1,10,100 --param gamma=0.0001,0.001,0.01"""
_CROSS_VALIDATE = r"""Example:

    crescendo search cross-validate --dataset sklearn:diabetes --model ridge \
        --set alpha=0.5 --metric r2 --metric neg_mean_absolute_error"""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Start a search: progressive, a comparison of models, one method, or a cross-validation.",
)


@app.command("progressive", epilog=_PROGRESSIVE)
def progressive(
    *,
    model_run: options.ModelRunArgument = None,
    dataset: options.DatasetOption = None,
    target: options.TargetOption = None,
    model: options.ModelOption = None,
    fixed: options.FixedOption = None,
    step: options.StepOption = None,
    experiment: options.ExperimentOption = None,
    param: options.ParamOption = None,
    grid: options.GridOption = None,
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
    metric: options.MetricOption = None,
    folds: options.FoldsOption = None,
    seed: options.SeedOption = None,
    max_concurrent: options.ConcurrencyOption = None,
    name: options.StudyOption = None,
    dry_run: options.DryRunOption = False,
    detach: options.DetachOption = False,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
    store: options.StoreOption = None,
) -> None:
    """Search coarse to fine: a grid, then random, then bayesian, each on the space refined from before.

    Without --param and --grid the model type's default grid is searched.
    """
    chosen = ModelChoice(
        dataset=dataset,
        target=target,
        models=[model] if model else [],
        fixed=fixed or [],
        steps=step or [],
        experiment=experiment,
    )
    values = parsed("--param / --grid", lambda: arguments.parse_grid(grid, param or []))
    with options.client(coordinator, store) as client:
        model_run_id = chosen.model_run_id(client, model_run)
        started = client.start_progressive_search(
            model_run_id,
            values,
            refinement_factor=factor,
            cv_folds=folds,
            scoring_metric=metric,
            n_iter_random=random,
            n_iter_bayesian=bayesian,
            random_state=seed,
            max_concurrent_trials=max_concurrent,
            study_name=name,
            validate_only=dry_run,
        )
        go_on(client, started, dry_run=dry_run, detach=detach, as_json=as_json)


@app.command("compare", epilog=_COMPARE)
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
    seed: options.SeedOption = None,
    max_concurrent: options.ConcurrencyOption = None,
    name: options.StudyOption = None,
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
        models=model or [],
        steps=step or [],
        experiment=experiment,
    )
    given = parsed("--grids", lambda: arguments.parse_grids(grids))
    with options.client(coordinator, store) as client:
        by_type = chosen.compared_model_runs(client, model_runs or [])
        started = client.compare(
            list(by_type),
            method=method,
            grids={
                key: values
                for given_key, values in given.items()
                for key in _ids_named(given_key, by_type)
            },
            cv_folds=folds,
            scoring_metric=metric,
            n_iter=trials,
            parallel=False if sequential else None,
            random_state=seed,
            max_concurrent_trials=max_concurrent,
            study_name=name,
            validate_only=dry_run,
        )
        go_on(client, started, dry_run=dry_run, detach=detach, as_json=as_json)


@app.command("tune", epilog=_TUNE)
def tune(
    *,
    model_run: options.ModelRunArgument = None,
    dataset: options.DatasetOption = None,
    target: options.TargetOption = None,
    model: options.ModelOption = None,
    fixed: options.FixedOption = None,
    step: options.StepOption = None,
    experiment: options.ExperimentOption = None,
    param: options.ParamOption = None,
    grid: options.GridOption = None,
    method: options.MethodOption = None,
    trials: options.TrialsOption = None,
    metric: options.MetricOption = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also-metric",
            metavar="SCORER",
            help="A further scorer to record; repeatable.",
            rich_help_panel=options.SEARCH_PANEL,
        ),
    ] = None,
    folds: options.FoldsOption = None,
    seed: options.SeedOption = None,
    max_concurrent: options.ConcurrencyOption = None,
    name: options.StudyOption = None,
    dry_run: options.DryRunOption = False,
    detach: options.DetachOption = False,
    as_json: options.JsonOption = False,
    coordinator: options.CoordinatorOption = None,
    store: options.StoreOption = None,
) -> None:
    """Tune one model by one method."""
    chosen = ModelChoice(
        dataset=dataset,
        target=target,
        models=[model] if model else [],
        fixed=fixed or [],
        steps=step or [],
        experiment=experiment,
    )
    values = parsed("--param / --grid", lambda: arguments.parse_grid(grid, param or []))
    with options.client(coordinator, store) as client:
        model_run_id = chosen.model_run_id(client, model_run)
        started = client.tune(
            model_run_id,
            values,
            method=method,
            cv_folds=folds,
            scoring_metric=metric,
            additional_metrics=also or [],
            n_iter=trials,
            random_state=seed,
            max_concurrent_trials=max_concurrent,
            study_name=name,
            validate_only=dry_run,
        )
        go_on(client, started, dry_run=dry_run, detach=detach, as_json=as_json)


@app.command("cross-validate", epilog=_CROSS_VALIDATE)
def cross_validate(
    *,
    model_run: options.ModelRunArgument = None,
    dataset: options.DatasetOption = None,
    target: options.TargetOption = None,
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
    seed: options.SeedOption = None,
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
        models=[model] if model else [],
        fixed=fixed or [],
        steps=step or [],
        experiment=experiment,
    )
    values = parsed("--set", lambda: arguments.parse_parameters(parameter or []))
    with options.client(coordinator, store) as client:
        model_run_id = chosen.model_run_id(client, model_run)
        started = client.cross_validate(
            model_run_id,
            values,
            cv_folds=folds,
            scoring_metrics=metric or [],
            random_state=seed,
            validate_only=dry_run,
        )
        go_on(client, started, dry_run=dry_run, detach=detach, as_json=as_json)


def go_on(
    client: Crescendo, started: Orchestration, *, dry_run: bool, detach: bool, as_json: bool
) -> None:
    """Goes on after a start: shows the plan, leaves, or follows to the end."""
    console = output.out()
    if dry_run:
        if as_json:
            output.print_json(started)
        else:
            console.print("The request is valid. It would run:")
            console.print(results.status(started))
        return
    if detach:
        if as_json:
            output.print_json(started)
        else:
            console.print(f"Started {started.orchestration_id}; it runs on without you.")
            following.print_way_back(console, started.orchestration_id)
        return
    raise typer.Exit(following.follow(client, started.orchestration_id, as_json=as_json))


def _ids_named(key: str, by_type: dict[str, str]) -> list[str]:
    ids = [each for each, model_type in by_type.items() if key in (each, model_type)]
    # An unknown name goes to the server, whose answer lists everything that is wrong at once.
    return ids or [key]
