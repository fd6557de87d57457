"""The worker's settings, from environment variables with the prefix CRESCENDO_."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker may be told.

    Attributes:
        amqp_url: where RabbitMQ is.
        queue_prefix: what queue names begin with.
        store_internal_address: where the store's TrialService is; several, comma-separated.
        worker_slots: trials run at once; 0 for one per core.
        worker_class: the queue to consume.
        worker_cache_dir: folder for datasets, shared by all workers of the machine.
        worker_cache_mb: size above which datasets nobody uses are dropped.
        worker_drain_seconds: how long running trials may go on after SIGTERM.
        trial_timeout_seconds: wall limit of any trial; none when unset.
        log_level: debug, info, warning or error.
        log_format: json or console.
    """

    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    queue_prefix: str = "crescendo"
    store_internal_address: str = "127.0.0.1:50053"
    worker_slots: int = 0
    worker_class: str = "default"
    worker_cache_dir: str = "~/.cache/crescendo"
    worker_cache_mb: int = 20_000
    worker_drain_seconds: float = 30.0
    trial_timeout_seconds: float | None = None
    log_level: str = "info"
    log_format: str = "json"

    def __post_init__(self) -> None:
        """Checks limits; raises ValueError with all that is wrong."""
        problems = []
        if not 0 <= self.worker_slots <= 1024:
            problems.append(f"CRESCENDO_WORKER_SLOTS={self.worker_slots}: must be 0 to 1024")
        if self.worker_cache_mb < 1:
            problems.append(f"CRESCENDO_WORKER_CACHE_MB={self.worker_cache_mb}: must be at least 1")
        if self.worker_drain_seconds < 0:
            problems.append(
                f"CRESCENDO_WORKER_DRAIN_SECONDS={self.worker_drain_seconds}: must not be negative"
            )
        if self.trial_timeout_seconds is not None and self.trial_timeout_seconds <= 0:
            problems.append(
                f"CRESCENDO_TRIAL_TIMEOUT_SECONDS={self.trial_timeout_seconds}: must be above 0"
            )
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def slots(self) -> int:
        """Gives the number of slots: as set, else the cores this process may use."""
        if self.worker_slots:
            return self.worker_slots
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    @property
    def cache_folder(self) -> Path:
        """Gives the cache folder as a path."""
        return Path(self.worker_cache_dir).expanduser()
