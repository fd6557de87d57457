"""Fixtures and reporting shared by all tests: a real Postgres and a real RabbitMQ."""

from __future__ import annotations

import os

# Before anything imports numpy: on small matrices the threads of numeric libraries only get into
# each other's way, and into that of the processes that tests start.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# gRPC's own preparations for a fork abort the new process when other threads are in calls; that it will
# be another program in a moment they do not know. Tests start servers while clients stream.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import uuid
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import structlog

from testbed.backing import Backing
from testbed.brokers import delete_queues
from testbed.databases import PostgresServer, random_database
from testbed.stopping import stop_on_signals

# How long an example takes, or making one, says how busy the machine is, and nothing about the code. Every
# run tries the same examples, so that none fails by chance; `--hypothesis-profile=curious` tries others.
hypothesis.settings.register_profile(
    "patient",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "curious", hypothesis.settings.get_profile("patient"), derandomize=False
)
hypothesis.settings.load_profile("patient")
# As configured by no service: a traceback drawn with every local variable in it takes seconds.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

_BACKING = pytest.StashKey[Backing]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults", "fault tests (tests/faults)")
    group.addoption("--faults", action="store_true", help="run the long ones as well")
    group.addoption("--seeds", type=int, default=1, help="seeds each of them runs with (1)")
    group.addoption("--size", type=int, default=10_000, help="trials of the largest one (10000)")


def pytest_configure(config: pytest.Config) -> None:
    backing = config.stash[_BACKING] = Backing()
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        backing.share()
    stop_on_signals()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes over what a process that ran tests beside others could not run; all leave out the same."""
    backing = node.config.stash[_BACKING]
    backing.not_run = max(backing.not_run, getattr(node, "workeroutput", {}).get("not_run", 0))


def pytest_report_header(config: pytest.Config) -> list[str]:
    backing = config.stash[_BACKING]
    postgres, rabbitmq = backing.postgres, backing.rabbitmq
    return [
        f"Postgres: {postgres.description if postgres else 'none answers: the wheel, if needed'}",
        f"RabbitMQ: {rabbitmq.description if rabbitmq else 'none answers: a private one, if needed'}",
    ]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanting = [item for item in items if _needs_rabbitmq(item)]
    backing = config.stash[_BACKING]
    if not wanting or config.option.collectonly or backing.need_rabbitmq() is not None:
        return
    backing.not_run = len(wanting)
    config.hook.pytest_deselected(items=wanting)
    items[:] = [item for item in items if not _needs_rabbitmq(item)]


def _needs_rabbitmq(item: pytest.Item) -> bool:
    named = item.get_closest_marker("rabbitmq") is not None
    return named or "amqp_url" in getattr(item, "fixturenames", ())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    backing = config.stash[_BACKING]
    if backing.postgres is not None:
        terminalreporter.write_line(f"Postgres used: {backing.postgres.description}")
    if backing.rabbitmq is not None:
        terminalreporter.write_line(f"RabbitMQ used: {backing.rabbitmq.description}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    not_run = session.config.stash[_BACKING].not_run
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["not_run"] = not_run
    # Where everything is expected to run, tests that did not are a failure.
    if not_run and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    backing = config.stash.get(_BACKING, None)
    if backing is None:
        return
    backing.stack.close()
    if backing.not_run and not hasattr(config, "workerinput"):
        error = "error: " if os.environ.get("CI") else ""
        print(f"{error}RabbitMQ unavailable: {backing.not_run} tests not run")  # noqa: T201 (the run's last line)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> PostgresServer:
    """The Postgres of this run, on which databases can be created."""
    return request.config.stash[_BACKING].need_postgres()


@pytest.fixture(scope="session")
def postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database for the whole run, shared by its tests."""
    with random_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture
def fresh_postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database for one test."""
    with random_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def amqp_url(request: pytest.FixtureRequest) -> str:
    """A real RabbitMQ; tests that ask for it are not run where none can be had."""
    backing = request.config.stash[_BACKING]
    server = backing.need_rabbitmq()
    if server is None:
        # Only for tests that ask at run time: all others were taken out at collection.
        backing.not_run += 1
        pytest.skip("RabbitMQ unavailable")
    return server.url


@pytest.fixture
def worker_classes() -> list[str]:
    """Worker classes whose queues the test may declare; append others to have them deleted too."""
    return ["default"]


@pytest.fixture
def queue_prefix(amqp_url: str, worker_classes: list[str]) -> Iterator[str]:
    """A prefix for the test's queues, which are deleted afterwards."""
    prefix = f"crescendo-test-{uuid.uuid4().hex[:12]}"
    yield prefix
    delete_queues(amqp_url, prefix, worker_classes)
