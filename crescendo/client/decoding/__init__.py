"""Messages of the stubs → the library's own values."""

from crescendo.client.decoding.catalogue import dataset, model_run, model_type
from crescendo.client.decoding.orchestrations import (
    baseline,
    best,
    counts,
    orchestration,
    pruning,
    selection,
    stage,
    stopping,
    timings,
    tuning_run,
)
from crescendo.client.decoding.results import best_model, comparison, run_history
from crescendo.client.decoding.spaces import refinement, space, space_parameter
from crescendo.client.decoding.states import failure_kind, lifecycle_state, timestamp, trial_state
from crescendo.client.decoding.trials import failure, metrics, prune_decision, traced_trial, trial

__all__ = [
    "baseline",
    "best",
    "best_model",
    "comparison",
    "counts",
    "dataset",
    "failure",
    "failure_kind",
    "lifecycle_state",
    "metrics",
    "model_run",
    "model_type",
    "orchestration",
    "prune_decision",
    "pruning",
    "refinement",
    "run_history",
    "selection",
    "space",
    "space_parameter",
    "stage",
    "stopping",
    "timestamp",
    "timings",
    "traced_trial",
    "trial",
    "trial_state",
    "tuning_run",
]
