"""A real RabbitMQ for tests: one that answers, else a private one of the system's package.

In this order: CRESCENDO_AMQP_URL; 127.0.0.1:5672; a server program that is installed, started with
files and ports of its own; the same installed by apt-get, where this is Debian and we are root; a
container, where an engine runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aio_pika

from testbed.addresses import run_apart
from testbed.rabbit_node import rabbit_node, version_at

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
URL_VARIABLE = "CRESCENDO_AMQP_URL"

# The wrapper in sbin refuses other users than root and rabbitmq; the program behind it does not.
_PROGRAMS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
    "/usr/local/opt/rabbitmq/sbin/rabbitmq-server",
)
_IMAGE = "rabbitmq:4.1-alpine"
_START_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitServer:
    """A broker tests may declare queues on."""

    url: str
    description: str


def find_rabbitmq() -> RabbitServer | None:
    """Looks for a running RabbitMQ: CRESCENDO_AMQP_URL, else the default address."""
    given = os.environ.get(URL_VARIABLE, "")
    for url, origin in ((given, URL_VARIABLE), (DEFAULT_URL, "127.0.0.1:5672")):
        if url and (version := run_apart(version_at(url))):
            return RabbitServer(url=url, description=f"RabbitMQ {version} ({origin})")
    return None


@contextlib.contextmanager
def private_rabbitmq() -> Iterator[RabbitServer | None]:
    """Starts a RabbitMQ that is stopped afterwards; yields None where none can be had."""
    program = rabbitmq_program()
    if program is not None:
        with _started(program) as server:
            yield server
    elif _container_engine_runs():
        with _container() as server:
            yield server
    else:
        yield None


def delete_queues(url: str, prefix: str, worker_classes: Sequence[str]) -> None:
    """Deletes the queues and exchanges the services declare under a prefix."""
    run_apart(_delete(url, prefix, worker_classes))


def rabbitmq_program() -> str | None:
    """Finds a server program, or installs it where that can be done; None where it cannot."""
    return _installed() or _installed_by_apt()


def _installed() -> str | None:
    found = [path for path in _PROGRAMS if os.access(path, os.X_OK)]
    return found[0] if found else shutil.which("rabbitmq-server")


def _installed_by_apt() -> str | None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    # RUNLEVEL=1 keeps the package from starting a service of its own.
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "rabbitmq-server"],
    ):
        done = subprocess.run(
            arguments, env=environ, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode != 0:
            return None
    return _installed()


@contextlib.contextmanager
def _started(program: str) -> Iterator[RabbitServer]:
    with (
        tempfile.TemporaryDirectory(prefix="crescendo-mq-", ignore_cleanup_errors=True) as folder,
        rabbit_node(program, Path(folder)) as node,
    ):
        yield RabbitServer(url=node.url, description=node.description)


def _container_engine_runs() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    done = subprocess.run([docker, "info"], capture_output=True, timeout=20, check=False)
    return done.returncode == 0


@contextlib.contextmanager
def _container() -> Iterator[RabbitServer]:
    started = subprocess.run(
        ["docker", "run", "--detach", "--rm", "--publish", "127.0.0.1::5672", _IMAGE],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    container = started.stdout.strip()
    try:
        shown = subprocess.run(
            ["docker", "port", container, "5672/tcp"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        url = f"amqp://guest:guest@{shown.stdout.split()[0]}/"
        deadline = time.monotonic() + _START_SECONDS
        while (version := run_apart(version_at(url))) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the RabbitMQ container did not answer in {_START_SECONDS:g} s")
            time.sleep(0.5)
        yield RabbitServer(url=url, description=f"RabbitMQ {version} (container {_IMAGE})")
    finally:
        subprocess.run(
            ["docker", "rm", "--force", container], capture_output=True, timeout=60, check=False
        )


async def _delete(url: str, prefix: str, worker_classes: Sequence[str]) -> None:
    queues = [f"{prefix}.trials.v1.{each}" for each in worker_classes] + [f"{prefix}.dead.v1"]
    async with await aio_pika.connect(url, timeout=10) as connection:
        channel = await connection.channel()
        for name in queues:
            await channel.queue_delete(name)
        await channel.exchange_delete(f"{prefix}.dead.v1")
