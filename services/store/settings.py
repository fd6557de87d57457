"""What can be set about a store, from the environment with the prefix CRESCENDO_."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from services.common.setting_ranges import Within, outside_ranges
from services.common.settings import PREFIX

# Further apart, whoever has the smaller share gets nothing at all.
_WEIGHTS = Within(0.001, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """One store process.

    Attributes:
        postgres_dsn: the database; everything lives in its schema `crescendo`.
        store_listen: `host:port` of the public API.
        store_internal_listen: `host:port` of the API for workers and coordinators; another one.
        log_level: debug, info, warning or error.
        log_format: `json` or `console`.
        reflection: whether tools such as grpcurl may ask for the schema.
        lease_seconds: how long a worker's session lives after its last beat; 1 to 86,400, since shorter
            silences are no sign that a worker died.
        beat_seconds: how often workers beat; 0.1 to 28,800, and at most a third of the lease.
        searcher_lease_seconds: how long a coordinator may decide for a tuning run without renewing, which
            it does every 3 s; 5 to 3,600.
        dispatch_seconds: a trial dispatched and not claimed for this long is handed out again; 5 to
            86,400, since workers hold a message for up to 5 s.
        tenant_weights: shares of the workers by tenant, as `NAME=WEIGHT`; 0.001 to 1,000,000, the others
            weigh 1.
        watch_poll_seconds: how soon changes made through another replica reach watchers here; 0.01 to 10.
        bookmark_seconds: how often a quiet watch says that it lives; 0.05 to 30, since coordinators give
            up one that is silent for 35 s.
        max_watches: watches of clients this replica admits; 1 to 1,000,000.
        max_coordinator_watches: watches of coordinators this replica admits; clients take none of them;
            1 to 1,000,000.
        stream_write_seconds: a stream whose client does not read for so long is ended; 0.1 to 3,600.
        retention_days: how long the events of what has ended are kept, and who requested what; 0 (for
            ever) to 36,500.
        max_upload_mib: size limit of an uploaded file and of its stored form; 1 to 16,384.
        drain_seconds: how long calls under way may take once the store stops; 0 to 3,600.
        rpc_deadline_seconds: of calls whose client sets no deadline; streams have none; 1 to 3,600.
        metrics_listen: `host:port` of /metrics, /livez and /readyz; `off` for none.
    """

    postgres_dsn: str = "postgresql://postgres@127.0.0.1:5432/postgres"
    store_listen: str = "127.0.0.1:50052"
    store_internal_listen: str = "127.0.0.1:50053"
    log_level: str = "info"
    log_format: str = "json"
    reflection: bool = True
    lease_seconds: Annotated[float, Within(1, 86_400)] = 35.0
    beat_seconds: Annotated[float, Within(0.1, 28_800)] = 10.0
    searcher_lease_seconds: Annotated[float, Within(5, 3_600)] = 10.0
    dispatch_seconds: Annotated[float, Within(5, 86_400)] = 60.0
    tenant_weights: tuple[str, ...] = ()
    watch_poll_seconds: Annotated[float, Within(0.01, 10)] = 0.25
    bookmark_seconds: Annotated[float, Within(0.05, 30)] = 10.0
    max_watches: Annotated[int, Within(1, 1_000_000)] = 2000
    max_coordinator_watches: Annotated[int, Within(1, 1_000_000)] = 20_000
    stream_write_seconds: Annotated[float, Within(0.1, 3_600)] = 30.0
    retention_days: Annotated[float, Within(0, 36_500)] = 30.0
    max_upload_mib: Annotated[int, Within(1, 16_384)] = 512
    drain_seconds: Annotated[float, Within(0, 3_600)] = 5.0
    rpc_deadline_seconds: Annotated[float, Within(1, 3_600)] = 60.0
    metrics_listen: str = "127.0.0.1:9052"

    def __post_init__(self) -> None:
        problems = outside_ranges(self, prefix=PREFIX)
        if self.beat_seconds * 3 > self.lease_seconds:
            problems.append(
                f"CRESCENDO_BEAT_SECONDS={self.beat_seconds}: must be at most a third of"
                f" CRESCENDO_LEASE_SECONDS={self.lease_seconds}, so that two lost beats end no lease"
            )
        is_any_port = self.store_listen.endswith(":0")
        if self.store_internal_listen == self.store_listen and not is_any_port:
            problems.append(
                f"CRESCENDO_STORE_INTERNAL_LISTEN={self.store_internal_listen!r}: must not be that of"
                " CRESCENDO_STORE_LISTEN; the two APIs need a port each"
            )
        try:
            self.weights_by_tenant()
        except ValueError as error:
            problems.append(str(error))
        if problems:
            raise ValueError("; ".join(problems))

    def weights_by_tenant(self) -> dict[str, float]:
        """Reads `tenant_weights`.

        Raises: ValueError: a part is not `NAME=WEIGHT`, a weight is out of range, or a name repeats.
        """
        weights: dict[str, float] = {}
        for part in self.tenant_weights:
            name, _, text = (each.strip() for each in part.rpartition("="))
            try:
                weight = float(text)
            except ValueError:
                weight = math.nan
            if not name or name in weights or _WEIGHTS.problem(weight):
                raise ValueError(
                    f"CRESCENDO_TENANT_WEIGHTS={part!r}: write each tenant once as NAME=WEIGHT with"
                    f" a weight of {_WEIGHTS}, separated by commas"
                )
            weights[name] = weight
        return weights
