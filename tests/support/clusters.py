"""Clusters with a database and a queue prefix of their own."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed.brokers import delete_queues
from testbed.databases import PostgresServer, random_database
from testbed.processes import Cluster


@dataclass(slots=True, kw_only=True)
class ClusterStarter:
    """Starts clusters; they, their databases and their queues go when `stack` is closed.

    Attributes:
        running: every cluster of the whole run, for reports; this starter adds its own.
        clusters: those this starter has started.
    """

    postgres: PostgresServer
    amqp_url: str
    folders: pytest.TempPathFactory
    running: list[Cluster]
    clusters: list[Cluster] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)

    def start(self, *, worker_count: int = 2, **settings: str) -> Cluster:
        """Starts a store, a coordinator and workers, with further `CRESCENDO_*` settings."""
        prefix = f"crescendo-e2e-{uuid.uuid4().hex[:12]}"
        dsn = self.stack.enter_context(random_database(self.postgres))
        self.stack.callback(delete_queues, self.amqp_url, prefix, ["default"])
        folder: Path = self.folders.mktemp("cluster")
        cluster = Cluster(
            postgres_dsn=dsn,
            amqp_url=self.amqp_url,
            queue_prefix=prefix,
            folder=folder,
            worker_count=worker_count,
            settings=settings,
        )
        # Known before it starts, so that the logs of a failed start are shown.
        self.running.append(cluster)
        self.clusters.append(cluster)
        self.stack.callback(self.running.remove, cluster)
        return self.stack.enter_context(cluster)
