"""The worker's settings, from environment variables with the prefix CRESCENDO_."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from services.common.setting_ranges import Within, outside_ranges
from services.common.settings import PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker may be told.

    Attributes:
        amqp_url: where RabbitMQ is.
        queue_prefix: what queue names begin with; 1 to 64 letters, digits, '.', '_' or '-'.
        store_internal_address: where the store's TrialService is; several, comma-separated.
        worker_slots: trials run at once; 0 (one per core) to 1,024.
        worker_class: the queue to consume; 1 to 64 letters, digits, '.', '_' or '-'.
        worker_cache_dir: folder for datasets, shared by all workers of the machine.
        worker_cache_mb: size above which datasets nobody uses are dropped; 1 to 100,000,000.
        worker_drain_seconds: how long running trials may go on after SIGTERM; 0 to 86,400.
        trial_timeout_seconds: wall limit of any trial; 0.1 to 31,536,000; none for no limit.
        trial_memory_mb: memory of a trial's processes together; 384 to 16,777,216 (an idle child has
            about 200 already), 0 for no limit, none for an equal share of four fifths of what there is.
        child_growth_mb: by how much a child may grow from trial to trial before it is replaced; 1 to
            16,777,216.
        prefix_cache_mb: what each child keeps of preprocessed folds, within an eighth of its trial's
            memory; 0 (nothing) to 16,777,216.
        metrics_listen: `host:port` of /metrics, /livez and /readyz; `off` for none.
        log_level: debug, info, warning or error.
        log_format: json or console.
    """

    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    queue_prefix: str = "crescendo"
    store_internal_address: str = "127.0.0.1:50053"
    worker_slots: Annotated[int, Within(0, 1_024)] = 0
    worker_class: str = "default"
    worker_cache_dir: str = "~/.cache/crescendo"
    worker_cache_mb: Annotated[int, Within(1, 100_000_000)] = 20_000
    worker_drain_seconds: Annotated[float, Within(0, 86_400)] = 30.0
    trial_timeout_seconds: Annotated[float | None, Within(0.1, 31_536_000)] = None
    trial_memory_mb: Annotated[int | None, Within(384, 16_777_216, or_zero=True)] = None
    child_growth_mb: Annotated[int, Within(1, 16_777_216)] = 512
    prefix_cache_mb: Annotated[int, Within(0, 16_777_216)] = 256
    metrics_listen: str = "127.0.0.1:9053"
    log_level: str = "info"
    log_format: str = "json"

    def __post_init__(self) -> None:
        """Checks limits; raises ValueError with all that is wrong."""
        if problems := outside_ranges(self, prefix=PREFIX):
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
