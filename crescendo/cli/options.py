"""Options several commands share, and how they become a client."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from crescendo.client.library import Crescendo

CONNECTION_PANEL = "Connection"
SEARCH_PANEL = "Search"
BUDGET_PANEL = "Budget and workers"
MODEL_PANEL = "Model (instead of a model run)"

CoordinatorOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--coordinator",
        metavar="HOST:PORT",
        envvar="CRESCENDO_COORDINATOR_ADDRESS",
        help="Where the coordinator is; a local 'crescendo up', else 127.0.0.1:50051.",
        rich_help_panel=CONNECTION_PANEL,
        show_default=False,
    ),
]
StoreOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="HOST:PORT",
        envvar="CRESCENDO_STORE_ADDRESS",
        help="Where the store is; a local 'crescendo up', else 127.0.0.1:50052.",
        rich_help_panel=CONNECTION_PANEL,
        show_default=False,
    ),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs, with every digit.")
]
OrchestrationArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="The orchestration's id.", show_default=False)
]

ModelRunArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="MODEL_RUN", help="A model run's id; or use --dataset and --model."),
]
DatasetOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="ID|FILE",
        help="A dataset's id, a built-in such as sklearn:wine, or a CSV or Parquet file to upload.",
        rich_help_panel=MODEL_PANEL,
    ),
]
TargetOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="COLUMN",
        help="The column to predict, when --dataset is a file.",
        rich_help_panel=MODEL_PANEL,
    ),
]
ModelOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="TYPE",
        help="A model type such as random_forest_classifier; a wrong one lists all.",
        rich_help_panel=MODEL_PANEL,
    ),
]
FixedOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--fixed",
        metavar="NAME=VALUE",
        help="Fix an estimator's parameter; repeatable.",
        rich_help_panel=MODEL_PANEL,
    ),
]
StepOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--step",
        metavar="STEP",
        help="Add a preprocessing step, such as standard_scaler or"
        " impute@numeric:strategy=median (\\[NAME=]TYPE\\[@COLUMNS]\\[:parameter=value,…]); repeatable.",
        rich_help_panel=MODEL_PANEL,
    ),
]
ExperimentOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--experiment", metavar="NAME", help="Group the model run.", rich_help_panel=MODEL_PANEL
    ),
]

ParamOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        metavar="NAME=VALUES",
        help="Values to search, such as max_depth=5,10,20,null; repeatable.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
GridOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--grid",
        metavar="FILE|JSON",
        help="The whole grid, such as '{\"C\": [0.1, 1, 10]}', or a list of grids that are searched"
        " together, as GridSearchCV takes one; --param adds to it.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
DistributionOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--distribution",
        "-d",
        metavar="NAME=DISTRIBUTION",
        help="A range to search, such as 'C=loguniform(0.01,100)'; uniform, loguniform, quniform,"
        " randint (upper excluded) or choice; repeatable.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
SpaceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="FILE|JSON",
        help="The typed search space, the JSON form of tuning.v1.SearchSpace; instead of --param,"
        " --grid and --distribution.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
ResolutionOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--grid-resolution",
        metavar="N",
        help="Values a grid search tries of each range without a step, 5.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
SpaceTypeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--space-type",
        metavar="SIZE",
        help="Search a preset space of the model type: conservative, default or aggressive; else its"
        " default grid.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
ConfigTypeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--config-type",
        metavar="SIZE",
        help="Trials and time where they are not given: conservative (5, 10m), default (50, 1h) or"
        " aggressive (100, 2h).",
        rich_help_panel=BUDGET_PANEL,
    ),
]
MethodOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="METHOD",
        help="grid_search (default), random_search, sobol, bayesian, bayesian_skopt, tpe or local.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
TrialsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--trials",
        metavar="N",
        help="Trials per model, 20; grid_search runs every point.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
MetricOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="SCORER",
        help="The scikit-learn scorer to maximise; accuracy or r2 by default.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
FoldsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--folds", metavar="N", help="Cross-validation folds, 5.", rich_help_panel=SEARCH_PANEL
    ),
]
SplitterOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--splitter",
        metavar="SPLITTER",
        help="How rows are split, such as k_fold:shuffle=true, repeated_stratified_k_fold:n_repeats=3 or"
        " time_series_split:gap=10 (TYPE\\[:setting=value,…]); stratified folds for classes and"
        " plain ones else, not shuffled.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
WeightedScoringOption: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--weighted-scoring/--unweighted-scoring",
        help="Give the dataset's weights to the metrics too; unweighted.",
        rich_help_panel=SEARCH_PANEL,
        show_default=False,
    ),
]
SeedOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Seeds the search and the estimators, 42.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
ConcurrencyOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-concurrent",
        metavar="N",
        help="Trials that may run at once; 0, no limit.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
StudyOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="STUDY",
        help="Name the study; started again under its name it is returned, with more --trials,"
        " --bayesian or a larger budget it goes on.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
PruneOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--prune",
        metavar="RULE",
        help="Stop trials early: lossless (those that cannot be among the best any more), or by a guess that may"
        " stop the best: median, asha (asha:reduction_factor=3) or racing (racing:level=0.01); asha and median"
        " also by step_kind=training_size or step_kind=boosting_round. Off.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
KeepOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--keep",
        metavar="N",
        help="With --prune lossless: how many of the best must come out as without it; 1.",
        rich_help_panel=SEARCH_PANEL,
    ),
]
DetachOption: TypeAlias = Annotated[
    bool, typer.Option("--detach", help="Start it, print its id, and leave.")
]
DryRunOption: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Check the request and show the plan; start nothing.")
]


def client(coordinator: str | None, store: str | None) -> Crescendo:
    """Connects."""
    return Crescendo(coordinator=coordinator, store=store)
