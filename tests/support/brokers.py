"""A real RabbitMQ for tests: one that answers, else a private one of the system's package.

In this order: CRESCENDO_AMQP_URL; 127.0.0.1:5672; a server program that is installed, started with
files and ports of its own; the same installed by apt-get, where this is Debian and we are root; a
container, where an engine runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import aio_pika

from tests.support.addresses import free_ports, run_apart

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
        if url and (version := run_apart(_version(url))):
            return RabbitServer(url=url, description=f"RabbitMQ {version} ({origin})")
    return None


@contextlib.contextmanager
def private_rabbitmq() -> Iterator[RabbitServer | None]:
    """Starts a RabbitMQ that is stopped afterwards; yields None where none can be had."""
    program = _installed() or _installed_by_apt()
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
    port, dist_port, epmd_port = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="crescendo-mq-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        config = home / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.default = 127.0.0.1:{port}\n")
        (home / "enabled_plugins").write_text("[].\n")
        output = home / "output.txt"
        environ = {
            **os.environ,
            "HOME": folder,
            "RABBITMQ_NODENAME": f"crescendo-test-{port}@localhost",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(dist_port),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_PID_FILE": str(home / "pid"),
        }
        processes = contextlib.ExitStack()
        with processes, output.open("wb") as sink:
            # Erlang would start its port mapper as a daemon that outlives the node; this one is ours.
            if (epmd := shutil.which("epmd", path=_erlang_path())) is not None:
                processes.enter_context(_stopped_after([epmd], environ, sink))
            server = processes.enter_context(_stopped_after([program], environ, sink))
            url = f"amqp://guest:guest@127.0.0.1:{port}/"
            version = _await_start(url, server, output)
            yield RabbitServer(url=url, description=f"RabbitMQ {version} (private, {program})")


@contextlib.contextmanager
def _stopped_after(
    command: Sequence[str], environ: dict[str, str], sink: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        list(command),
        env=environ,
        cwd=environ["HOME"],
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
        # A group of its own, so that stopping it leaves none of its children.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _erlang_path() -> str:
    extra = ":".join(str(each) for each in Path("/usr/lib/erlang").glob("erts-*/bin"))
    return f"{os.environ.get('PATH', '')}:{extra}"


def _await_start(url: str, process: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if version := run_apart(_version(url)):
            return version
        time.sleep(0.2)
    text = output.read_text(errors="replace")[-4000:]
    raise RuntimeError(f"the private RabbitMQ did not start within {_START_SECONDS:g} s:\n{text}")


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
        while (version := run_apart(_version(url))) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the RabbitMQ container did not answer in {_START_SECONDS:g} s")
            time.sleep(0.5)
        yield RabbitServer(url=url, description=f"RabbitMQ {version} (container {_IMAGE})")
    finally:
        subprocess.run(
            ["docker", "rm", "--force", container], capture_output=True, timeout=60, check=False
        )


async def _version(url: str) -> str | None:
    address = urlsplit(url)
    try:
        # A plain connect first: the library logs an error for each address that does not answer.
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(address.hostname, address.port or 5672), 3
        )
        writer.close()
        connection = await aio_pika.connect(url, timeout=3)
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPError):
        return None
    async with connection:
        transport = connection.transport
        if transport is None:
            return None
        version = transport.connection.server_properties.get("version", "?")
        return version.decode() if isinstance(version, bytes) else str(version)


async def _delete(url: str, prefix: str, worker_classes: Sequence[str]) -> None:
    queues = [f"{prefix}.trials.v1.{each}" for each in worker_classes] + [f"{prefix}.dead.v1"]
    async with await aio_pika.connect(url, timeout=10) as connection:
        channel = await connection.channel()
        for name in queues:
            await channel.queue_delete(name)
        await channel.exchange_delete(f"{prefix}.dead.v1")
