"""Rows about workers and about what waits for them, as use cases see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.core.trial import TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A worker's presence; `ended` once it was closed or its lease ran out."""

    session_id: str
    worker_class: str
    worker_name: str
    slots: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTrial:
    """What the store knows of an attempt a worker says it holds; `state` None for an unknown trial."""

    orchestration_id: str
    number: int
    attempt: int
    state: TrialState | None
    current_attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTrial:
    """A trial that runs under a session; `is_recent` while its claim may be unknown to the worker."""

    orchestration_id: str
    number: int
    attempt: int
    missed_beats: int
    is_recent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLoad:
    """How much of a tuning run's work waits and is under way.

    Attributes:
        waiting: queued trials that may start now and nobody was sent.
        outstanding: trials dispatched or running, of this tuning run.
        orchestration_outstanding: the same over the whole orchestration.
        open_for_work: whether tuning run and orchestration run, so that more may be handed out.
    """

    tuning_run_id: str
    orchestration_id: str
    worker_class: str
    tenant: str
    priority: int
    created_at: datetime
    stage_index: int
    position: int
    max_concurrent_trials: int
    waiting: int
    outstanding: int
    orchestration_outstanding: int
    mean_duration: float | None
    open_for_work: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerClass:
    """The workers of one class whose leases are good."""

    worker_class: str
    live_workers: int
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PickedTrial:
    """A queued trial that was just marked as dispatched; one with strikes travels alone."""

    tuning_run_id: str
    orchestration_id: str
    number: int
    attempt: int
    has_strikes: bool
    request_id: str = ""
