"""Servers of the fault tests' own, fleets on them, and which tests run when."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from testbed.brokers import rabbitmq_program
from testbed.rabbit_node import RabbitNode, rabbit_node
from tests.faults.support.fleet import Fleet
from tests.faults.support.postgres_node import PostgresNode, postgres_node
from tests.faults.support.proxy import Links
from tests.faults.support.scenario import Scenario, new_scenario

# Passwords that are looked for wherever they must not be.
POSTGRES_SECRET = "planted-postgres-5f1c"
RABBITMQ_SECRET = "planted-rabbitmq-8a2e"

StartScenario: TypeAlias = Callable[..., Scenario]

_RUNNING = pytest.StashKey[list[Fleet]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, metafunc.config.getoption("seeds") + 1))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves all but the quick ones to `make faults`."""
    if config.getoption("faults"):
        return
    left = [each for each in items if _is_long(each)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [each for each in items if each not in left]


def _is_long(item: pytest.Item) -> bool:
    breaks = "start_scenario" in getattr(item, "fixturenames", ())
    return breaks and item.get_closest_marker("fault_quick") is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the services wrote when a test that used them fails."""
    report = yield
    if report.failed:
        for fleet in item.session.stash.get(_RUNNING, []):
            for member in fleet.members:
                if member.process is not None:
                    report.sections.append((member.name, member.process.log_tail()))
            report.sections.append(("Postgres sessions", fleet.postgres.activity()))
            report.sections.append(("Postgres", fleet.postgres.log_tail()))
    return report


@pytest.fixture
def full(request: pytest.FixtureRequest, seed: int) -> bool:
    """Whether to take its time: in `make faults`, once; more of its seeds are for other chances."""
    return bool(request.config.getoption("faults")) and seed == 1


@pytest.fixture
def size(request: pytest.FixtureRequest, seed: int) -> int:
    """How many trials the largest test has: all of them once, then a tenth."""
    size = int(request.config.getoption("size"))
    return size if seed == 1 else max(1, size // 10)


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        # Postgres runs under another user where this is root, and must be able to walk down here.
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def own_postgres(servers_folder: Path) -> Iterator[PostgresNode]:
    """A Postgres fault tests may do anything to; they leave it running."""
    with postgres_node(servers_folder / "postgres", password=POSTGRES_SECRET) as node:
        yield node


@pytest.fixture(scope="session")
def own_rabbitmq(servers_folder: Path) -> Iterator[RabbitNode]:
    """A RabbitMQ fault tests may do anything to; they leave it running."""
    program = rabbitmq_program()
    if program is None:
        pytest.skip("no RabbitMQ to start: install rabbitmq-server")
    credentials = ("crescendo", RABBITMQ_SECRET)
    with rabbit_node(program, servers_folder / "rabbitmq", credentials=credentials) as node:
        yield node


@pytest.fixture
def start_scenario(
    request: pytest.FixtureRequest,
    own_postgres: PostgresNode,
    own_rabbitmq: RabbitNode,
    tmp_path: Path,
    seed: int,
) -> Iterator[StartScenario]:
    """Starts fleets for one test: `start_scenario(worker_count=3, …)`; arguments as Fleet has."""
    running = request.session.stash.setdefault(_RUNNING, [])
    with ExitStack() as stack:

        def start(**options: Any) -> Scenario:
            links = stack.enter_context(Links(seed=seed))
            folder = tmp_path / f"fleet-{len(running)}"
            folder.mkdir()
            fleet = Fleet(
                postgres=own_postgres,
                rabbitmq=own_rabbitmq,
                links=links,
                folder=folder,
                secrets=(POSTGRES_SECRET, RABBITMQ_SECRET),
                **options,
            )
            # Known before it starts, so that the logs of a failed start are shown.
            running.append(fleet)
            stack.callback(running.remove, fleet)
            stack.enter_context(fleet)
            return new_scenario(fleet, seed)

        yield start
