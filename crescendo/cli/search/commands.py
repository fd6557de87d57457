"""`crescendo search …`: the commands that start orchestrations, with examples of each."""

from __future__ import annotations

import typer

from crescendo.cli.search import comparison, cross_validation, plan, progressive, tuning

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
_PLAN = r"""Example, wide first, then the two that matter most with the others held, then all of them near the best:

    cat > plan.json <<'END'
    {
      "grids": {"svm_classifier": {"C": [0.1, 1, 10, 100], "gamma": [0.0001, 0.001, 0.01],
                                   "kernel": ["rbf", "poly"]}},
      "stages": [
        {"method": "random_search", "n_iter": 20, "stopping": {"plateau_trials": 10}},
        {"method": "bayesian", "n_iter": 15, "parameters": ["C", "gamma"], "refinement": "adaptive"},
        {"method": "local", "n_iter": 10, "radius": 0.1, "pruning": "lossless"}
      ]
    }
    END
    crescendo search plan plan.json --dataset sklearn:digits --model svm_classifier --dry-run
    crescendo search plan plan.json --dataset sklearn:digits --model svm_classifier --target-score 0.99

    # Preset spaces and a share of 50 trials for each stage, of two models:
    crescendo search plan '{"stages": [{"method": "sobol"}, {"method": "tpe"}]}' --step standard_scaler \
        --dataset sklearn:wine --model svm_classifier --model random_forest_classifier \
        --space-type default --config-type default

More in the last stage:  crescendo extend ID --trials 20"""
_TUNE = r"""Example:

    crescendo search tune --dataset sklearn:digits --model svm_classifier \
        --method random_search --trials 40 --param C=0.1,1,10,100 --param gamma=0.0001,0.001,0.01

    # Ranges instead of lists:
    crescendo search tune --dataset sklearn:digits --model svm_classifier --method bayesian \
        --distribution "C=loguniform(0.1,100)" --distribution "gamma=loguniform(0.0001,0.01)"

    # Trials stopped early, between folds: only one in three goes on from the first, and from the third.
    crescendo search tune --dataset sklearn:digits --model svm_classifier --method random_search --trials 60 \
        --folds 9 --distribution "C=loguniform(0.1,100)" --prune asha:reduction_factor=3

    # With limits, and a name to go on under: the second command runs 20 more.
    crescendo search tune --dataset sklearn:wine --model svm_classifier --step standard_scaler \
        --method bayesian --trials 20 --name wine --max-time 10m --max-failed 5
    crescendo search tune --dataset sklearn:wine --model svm_classifier --step standard_scaler \
        --method bayesian --trials 40 --name wine --max-time 10m --max-failed 5"""
_CROSS_VALIDATE = r"""Example:

    crescendo search cross-validate --dataset sklearn:diabetes --model ridge \
        --set alpha=0.5 --metric r2 --metric neg_mean_absolute_error"""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Start a search: progressive, a comparison of models, a plan of stages, one method, or a cross-validation.",
)

app.command("progressive", epilog=_PROGRESSIVE)(progressive.progressive)
app.command("compare", epilog=_COMPARE)(comparison.compare)
app.command("plan", epilog=_PLAN)(plan.plan)
app.command("tune", epilog=_TUNE)(tuning.tune)
app.command("cross-validate", epilog=_CROSS_VALIDATE)(cross_validation.cross_validate)
