"""Settings of the coordinator, from environment variables with the prefix CRESCENDO_."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from services.common.setting_ranges import Within, outside_ranges
from services.common.settings import PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings:
    """How a coordinator runs.

    Attributes:
        coordinator_listen: `host:port` of the gRPC server.
        store_address: the store's public address; several separated by commas.
        store_internal_address: the store's internal address; several separated by commas.
        amqp_url: RabbitMQ.
        queue_prefix: first part of the queues' names; 1 to 64 letters, digits, '.', '_' or '-'.
        reflection: whether tools such as grpcurl may ask for the schema.
        trial_timeout_seconds: ends trials that run longer; 0.1 to 31,536,000; none for no limit.
        price_per_hour: of one slot, for requests that bring none; 0.000001 to 1,000,000,000; none for no
            price.
        searcher_processes: processes for model-based searchers; 1 to 256.
        suggestion_timeout_seconds: a suggestion that takes longer makes its tuning run fall back; 1 to
            3,600.
        rpc_deadline_seconds: of calls whose client sets no deadline; 1 to 3,600.
        metrics_listen: `host:port` of /metrics, /livez and /readyz; `off` for none.
        log_level: debug, info, warning or error.
        log_format: `json` or `console`.
    """

    coordinator_listen: str = "127.0.0.1:50051"
    store_address: str = "127.0.0.1:50052"
    store_internal_address: str = "127.0.0.1:50053"
    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    queue_prefix: str = "crescendo"
    reflection: bool = True
    trial_timeout_seconds: Annotated[float | None, Within(0.1, 31_536_000)] = None
    price_per_hour: Annotated[float | None, Within(0.000001, 1_000_000_000)] = None
    searcher_processes: Annotated[int, Within(1, 256)] = 1
    suggestion_timeout_seconds: Annotated[float, Within(1, 3_600)] = 60.0
    rpc_deadline_seconds: Annotated[float, Within(1, 3_600)] = 60.0
    metrics_listen: str = "127.0.0.1:9051"
    log_level: str = "info"
    log_format: str = "json"

    def __post_init__(self) -> None:
        """Checks ranges; one ValueError lists all problems."""
        if problems := outside_ranges(self, prefix=PREFIX):
            raise ValueError("; ".join(problems))
