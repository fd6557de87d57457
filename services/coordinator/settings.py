"""Settings of the coordinator, from environment variables with the prefix CRESCENDO_."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings:
    """How a coordinator runs.

    Attributes:
        coordinator_listen: `host:port` of the gRPC server.
        store_address: the store's public address; several separated by commas.
        store_internal_address: the store's internal address; several separated by commas.
        amqp_url: RabbitMQ.
        queue_prefix: first part of the queues' names.
        reflection: whether tools such as grpcurl may ask for the schema.
        trial_timeout_seconds: ends trials that run longer; None for no limit.
        searcher_processes: processes for model-based searchers.
        suggestion_timeout_seconds: a suggestion that takes longer makes its tuning run fall back.
        log_level: debug, info, warning or error.
        log_format: `json` or `console`.
    """

    coordinator_listen: str = "127.0.0.1:50051"
    store_address: str = "127.0.0.1:50052"
    store_internal_address: str = "127.0.0.1:50053"
    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    queue_prefix: str = "crescendo"
    reflection: bool = True
    trial_timeout_seconds: float | None = None
    searcher_processes: int = 1
    suggestion_timeout_seconds: float = 60.0
    log_level: str = "info"
    log_format: str = "json"

    def __post_init__(self) -> None:
        """Checks ranges; one ValueError lists all problems."""
        problems = []
        if self.searcher_processes < 1:
            problems.append("searcher_processes must be at least 1")
        if self.suggestion_timeout_seconds <= 0:
            problems.append("suggestion_timeout_seconds must be positive")
        if self.trial_timeout_seconds is not None and self.trial_timeout_seconds <= 0:
            problems.append("trial_timeout_seconds must be positive")
        if problems:
            raise ValueError("; ".join(problems))
