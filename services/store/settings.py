"""What can be set about a store, from the environment with the prefix CRESCENDO_."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """One store process.

    Attributes:
        postgres_dsn: the database; everything lives in its schema `crescendo`.
        store_listen: `host:port` of the public API.
        store_internal_listen: `host:port` of the API for workers and coordinators.
        lease_seconds: how long a worker's session lives after its last beat.
        beat_seconds: how often workers beat; at most a third of the lease.
        searcher_lease_seconds: how long a coordinator may decide for a tuning run without renewing.
        dispatch_seconds: a trial dispatched and not claimed for this long is handed out again.
        watch_poll_seconds: how soon changes made through another replica reach watchers here.
        bookmark_seconds: how often a quiet watch says that it lives.
        max_watches: streams to watchers this replica admits.
        max_upload_mib: size limit of an uploaded file and of its stored form.
        drain_seconds: how long calls under way may take once the store stops.
    """

    postgres_dsn: str = "postgresql://postgres@127.0.0.1:5432/postgres"
    store_listen: str = "127.0.0.1:50052"
    store_internal_listen: str = "127.0.0.1:50053"
    log_level: str = "info"
    log_format: str = "json"
    reflection: bool = True
    lease_seconds: float = 35.0
    beat_seconds: float = 10.0
    searcher_lease_seconds: float = 10.0
    dispatch_seconds: float = 60.0
    watch_poll_seconds: float = 0.25
    bookmark_seconds: float = 10.0
    max_watches: int = 2000
    max_upload_mib: int = 512
    drain_seconds: float = 5.0

    def __post_init__(self) -> None:
        problems: list[str] = []
        for name in (
            "lease_seconds",
            "beat_seconds",
            "searcher_lease_seconds",
            "dispatch_seconds",
            "watch_poll_seconds",
            "bookmark_seconds",
        ):
            value = getattr(self, name)
            if not value > 0:
                problems.append(f"CRESCENDO_{name.upper()}={value}: must be above 0")
        if self.beat_seconds * 3 > self.lease_seconds:
            problems.append(
                f"CRESCENDO_BEAT_SECONDS={self.beat_seconds}: must be at most a third of"
                f" CRESCENDO_LEASE_SECONDS={self.lease_seconds}, so that two lost beats end no lease"
            )
        if self.max_upload_mib < 1:
            problems.append(f"CRESCENDO_MAX_UPLOAD_MIB={self.max_upload_mib}: must be at least 1")
        if problems:
            raise ValueError("; ".join(problems))
