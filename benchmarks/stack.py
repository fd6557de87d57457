"""The real services as processes, on a real Postgres and a real RabbitMQ."""

from __future__ import annotations

import os

# Before gRPC is imported: what it prepares for a fork aborts new processes while other threads are in calls,
# and these will be other programs in a moment.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from crescendo.client.library import Crescendo
from testbed.backing import Backing
from testbed.brokers import delete_queues
from testbed.databases import DURABLE, PostgresServer, random_database
from testbed.processes import Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Where Postgres and RabbitMQ are."""

    postgres: PostgresServer
    amqp_url: str
    rabbitmq: str

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new, empty database, dropped afterwards; yields its DSN."""
        with random_database(self.postgres) as dsn:
            yield dsn


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Running services, and a client of them; `cluster` knows processes and addresses."""

    cluster: Cluster
    client: Crescendo


@contextmanager
def servers() -> Iterator[Servers]:
    """Finds a Postgres and a RabbitMQ as tests do, or starts them; what was started is stopped."""
    # One that has to be started is started with every promise of a production server.
    backing = Backing(DURABLE)
    with backing.stack:
        rabbitmq = backing.need_rabbitmq()
        if rabbitmq is None:
            raise RuntimeError(
                "no RabbitMQ answers and none can be started here: install rabbitmq-server, or name"
                " one by CRESCENDO_AMQP_URL"
            )
        yield Servers(
            postgres=backing.need_postgres(), amqp_url=rabbitmq.url, rabbitmq=rabbitmq.description
        )


@contextmanager
def running(
    on: Servers,
    *,
    workers: int = 1,
    slots: int = 2,
    worker: Sequence[str] = ("-m", "services.worker"),
    **settings: str,
) -> Iterator[Stack]:
    """Starts a store, a coordinator and workers in a database and queues of their own; all go afterwards.

    Args:
        workers: worker processes, of `slots` slots each.
        worker: what a worker's interpreter is started with.
        settings: further `CRESCENDO_*` variables of every process.
    """
    prefix = f"crescendo-bench-{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:
        dsn = stack.enter_context(on.database())
        stack.callback(delete_queues, on.amqp_url, prefix, ["default"])
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="crescendo-bench-"))
        cluster = stack.enter_context(
            Cluster(
                postgres_dsn=dsn,
                amqp_url=on.amqp_url,
                queue_prefix=prefix,
                folder=Path(folder),
                worker_count=workers,
                worker_arguments=worker,
                settings=_settings(slots) | settings,
            )
        )
        client = stack.enter_context(
            Crescendo(coordinator=cluster.coordinator_address, store=cluster.store_address)
        )
        yield Stack(cluster=cluster, client=client)


def wait_for_end(stack: Stack, orchestration_id: str) -> None:
    """Waits until an orchestration has ended, however it ended, by following its events."""
    for _ in stack.client.watch(orchestration_id):
        pass


def _settings(slots: int) -> dict[str, str]:
    return {
        "CRESCENDO_WORKER_SLOTS": str(slots),
        # Several of each run on this machine: the usual ports would collide.
        "CRESCENDO_METRICS_LISTEN": "off",
        "CRESCENDO_LOG_LEVEL": "warning",
    }
