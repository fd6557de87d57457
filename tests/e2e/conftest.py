"""The three services as real processes on a real Postgres and a real RabbitMQ."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.support.brokers import delete_queues
from tests.support.clients import Client
from tests.support.databases import PostgresServer, random_database
from tests.support.processes import Cluster

_CLUSTERS = pytest.StashKey[list[Cluster]]()

StartCluster = Callable[..., Cluster]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the services wrote when a test that used them fails."""
    report = yield
    if report.failed:
        for cluster in item.session.stash.get(_CLUSTERS, []):
            for process in cluster.processes:
                report.sections.append((f"{process.name} (pid {process.pid})", process.log_tail()))
    return report


class _Starter:
    """Starts clusters and stops them at the end of its scope."""

    def __init__(
        self,
        session: pytest.Session,
        postgres: PostgresServer,
        amqp_url: str,
        folders: pytest.TempPathFactory,
    ) -> None:
        self._clusters = session.stash.setdefault(_CLUSTERS, [])
        self._postgres = postgres
        self._amqp_url = amqp_url
        self._folders = folders
        self.stack = ExitStack()

    def __call__(self, *, worker_count: int = 2, **settings: str) -> Cluster:
        prefix = f"crescendo-e2e-{uuid.uuid4().hex[:12]}"
        dsn = self.stack.enter_context(random_database(self._postgres))
        self.stack.callback(delete_queues, self._amqp_url, prefix, ["default"])
        cluster = Cluster(
            postgres_dsn=dsn,
            amqp_url=self._amqp_url,
            queue_prefix=prefix,
            folder=self._folders.mktemp("cluster"),
            worker_count=worker_count,
            settings=settings,
        )
        # Known before it starts, so that the logs of a failed start are shown.
        self._clusters.append(cluster)
        self.stack.callback(self._clusters.remove, cluster)
        return self.stack.enter_context(cluster)


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    amqp_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """A store, a coordinator and two workers shared by all tests that only use them."""
    starter = _Starter(request.session, postgres_server, amqp_url, tmp_path_factory)
    with starter.stack:
        yield starter()


@pytest.fixture
def start_cluster(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    amqp_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StartCluster]:
    """Starts a cluster for one test, which may do to it what it likes."""
    starter = _Starter(request.session, postgres_server, amqp_url, tmp_path_factory)
    with starter.stack:
        yield starter


@pytest.fixture(scope="session")
def client(cluster: Cluster) -> Iterator[Client]:
    """A client of the shared cluster."""
    client = Client(
        store_address=cluster.store_address, coordinator_address=cluster.coordinator_address
    )
    yield client
    client.close()
