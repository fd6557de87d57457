"""What is asked for: real searches on real data, with as many trials as wanted and as long ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.clients import Client

# Minutes of work in one call into C code.
ENDLESS_TREES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """Model runs to tune: trials of milliseconds, of about a second, and without an end."""

    quick: str
    slow: str
    ridge: str


def make_subjects(client: Client) -> Subjects:
    """Makes the model runs."""
    return Subjects(
        quick=client.create_model_run("sklearn:iris", "gaussian_nb"),
        slow=client.create_model_run("sklearn:breast_cancer", "random_forest_classifier"),
        ridge=client.create_model_run("sklearn:diabetes", "ridge"),
    )


def quick_grid(subjects: Subjects, trials: int, **fields: Any) -> dict[str, Any]:
    """Exactly so many trials of a few milliseconds."""
    values = [round(1e-9 * (1 + number), 15) for number in range(trials)]
    return {
        "model_run_id": subjects.quick,
        "tuning_method": "grid_search",
        "param_grid": {"var_smoothing": values},
        "cv_folds": 3,
        **fields,
    }


def slow_grid(
    subjects: Subjects, trials: int, *, trees: int = 120, **fields: Any
) -> dict[str, Any]:
    """Exactly so many trials of about `trees` × 5 milliseconds."""
    return {
        "model_run_id": subjects.slow,
        "tuning_method": "grid_search",
        "param_grid": {"n_estimators": [trees + number for number in range(trials)]},
        "cv_folds": 3,
        **fields,
    }


def endless_grid(subjects: Subjects, trials: int, **fields: Any) -> dict[str, Any]:
    """So many trials that end only when somebody ends them."""
    return slow_grid(subjects, trials, trees=ENDLESS_TREES, **fields)


def progressive(
    subjects: Subjects, *, random: int = 6, bayesian: int = 4, **fields: Any
) -> dict[str, Any]:
    """Grid, random and bayesian stage: 4 + `random` + `bayesian` trials of about half a second."""
    return {
        "model_run_id": subjects.slow,
        "initial_param_grid": {"n_estimators": [60, 90], "max_depth": [4, 8]},
        "n_iter_random": random,
        "n_iter_bayesian": bayesian,
        "cv_folds": 3,
        **fields,
    }
