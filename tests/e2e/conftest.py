"""The three services as real processes on a real Postgres and a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from testbed.databases import PostgresServer
from testbed.processes import Cluster
from tests.support.clients import Client
from tests.support.clusters import ClusterStarter

_RUNNING = pytest.StashKey[list[Cluster]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the services wrote when a test that used them fails."""
    report = yield
    if report.failed:
        for cluster in _clusters_of(item):
            for process in cluster.processes:
                report.sections.append((f"{process.name} (pid {process.pid})", process.log_tail()))
    return report


def _clusters_of(item: pytest.Item) -> list[Cluster]:
    """The test's own clusters; all that run when it has none yet, as after a failed start."""
    fixtures = getattr(item, "funcargs", {})
    if "cluster_starter" in fixtures:
        return list(fixtures["cluster_starter"].clusters)
    return item.session.stash.get(_RUNNING, [])


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    amqp_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """A store, a coordinator and two workers shared by all tests that only use them."""
    starter = _starter(request, postgres_server, amqp_url, tmp_path_factory)
    with starter.stack:
        yield starter.start()


@pytest.fixture
def cluster_starter(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    amqp_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ClusterStarter]:
    """Starts clusters for one test, which may do to them what it likes."""
    starter = _starter(request, postgres_server, amqp_url, tmp_path_factory)
    with starter.stack:
        yield starter


def _starter(
    request: pytest.FixtureRequest,
    postgres: PostgresServer,
    amqp_url: str,
    folders: pytest.TempPathFactory,
) -> ClusterStarter:
    running = request.session.stash.setdefault(_RUNNING, [])
    return ClusterStarter(postgres=postgres, amqp_url=amqp_url, folders=folders, running=running)


@pytest.fixture(scope="session")
def client(cluster: Cluster) -> Iterator[Client]:
    """A client of the shared cluster."""
    client = Client(
        store_address=cluster.store_address, coordinator_address=cluster.coordinator_address
    )
    yield client
    client.close()
