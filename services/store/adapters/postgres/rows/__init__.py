"""Rows to values and back; the one place that knows which columns hold which messages."""

from services.store.adapters.postgres.rows.columns import (
    counters,
    encoded_rules,
    encoded_scores,
    encoded_selection,
    encoded_stage,
    leader_columns,
    limits,
    pruning_of,
)
from services.store.adapters.postgres.rows.records import (
    attempt_cost,
    finished_trial,
    orchestration_record,
    stage_record,
    trial_record,
    tuning_run_record,
)
from services.store.adapters.postgres.rows.shown import (
    orchestration_of,
    stage_of,
    trial_of,
    tuning_run_of,
)

__all__ = [
    "attempt_cost",
    "counters",
    "encoded_rules",
    "encoded_scores",
    "encoded_selection",
    "encoded_stage",
    "finished_trial",
    "leader_columns",
    "limits",
    "orchestration_of",
    "orchestration_record",
    "pruning_of",
    "stage_of",
    "stage_record",
    "trial_of",
    "trial_record",
    "tuning_run_of",
    "tuning_run_record",
]
