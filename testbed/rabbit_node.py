"""A RabbitMQ of a test's own, with files and ports of its own, which may be killed and frozen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika

from testbed.addresses import lasting_ports, run_apart
from testbed.guard import guarded, released

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0


class RabbitNode:
    """One node, always on the same ports with the same data.

    Args:
        program: the server program behind the system's wrapper, which refuses most users.
        folder: holds the data, the logs and the cookie.
        credentials: name and password of the only user, who may do everything.
    """

    def __init__(
        self, program: str, folder: Path, *, credentials: tuple[str, str] = ("guest", "guest")
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._program = program
        self._folder = folder
        user, password = self._credentials = credentials
        self.port, dist_port, epmd_port = lasting_ports(3)
        config = folder / "rabbitmq.conf"
        config.write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            f"default_user = {user}\ndefault_pass = {password}\n"
        )
        (folder / "enabled_plugins").write_text("[].\n")
        self._environ = {
            **os.environ,
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"crescendo-test-{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(dist_port),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            # Schedulers that spin while they wait would take the tests' processors.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }
        self._output = folder / "output.txt"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it listens, `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """How clients reach it."""
        return self.url_at(self.address)

    def url_at(self, address: str) -> str:
        """Names the broker as it is reached through `address`, such as a link's."""
        return f"amqp://{':'.join(self._credentials)}@{address}/"

    @property
    def description(self) -> str:
        """Its version and program, for reports; asks the node."""
        return f"RabbitMQ {run_apart(version_at(self.url)) or '?'} (private, {self._program})"

    def start(self) -> None:
        """Starts the node and waits until it takes connections."""
        # Erlang would start its port mapper as a daemon that outlives the node; this one is ours.
        epmd = shutil.which("epmd", path=_erlang_path())
        if self._epmd is None and epmd is not None:
            self._epmd = self._run([epmd])
        self._server = self._run([self._program])
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._server.poll() is None:
            if run_apart(version_at(self.url)):
                return
            time.sleep(0.2)
        text = self.log_tail()
        self.close()
        raise RuntimeError(f"the private RabbitMQ did not start:\n{text}")

    def stop(self) -> None:
        """Stops it in order; its data stays."""
        if self._server is not None:
            self.thaw()
            _end(self._server, signal.SIGTERM)
            self._server = None

    def kill(self) -> None:
        """Ends it by SIGKILL."""
        if self._server is not None:
            _end(self._server, signal.SIGKILL)
            self._server = None

    def freeze(self) -> None:
        """Stops the processor for it; connections stay."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Deletes all its data; it must not run."""
        shutil.rmtree(self._folder / "mnesia", ignore_errors=True)

    def control(self, *arguments: str) -> str:
        """Carries out a command of rabbitmqctl. Returns: what it printed."""
        program = Path(self._program).with_name("rabbitmqctl")
        done = subprocess.run(
            [str(program), *arguments],
            env=self._environ,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def log_tail(self) -> str:
        """The end of what it wrote to its output."""
        return self._output.read_text(errors="replace")[-4000:] if self._output.exists() else ""

    def close(self) -> None:
        """Stops the node and its port mapper."""
        self.stop()
        if self._epmd is not None:
            _end(self._epmd, signal.SIGTERM)
            self._epmd = None

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self._output.open("ab") as sink:
            process = subprocess.Popen(
                command,
                env=self._environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                # A group of its own, so that stopping it leaves none of its children.
                start_new_session=True,
            )
        guarded(process.pid)
        return process

    def _signal(self, number: signal.Signals) -> None:
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, number)


@contextlib.contextmanager
def rabbit_node(
    program: str, folder: Path, *, credentials: tuple[str, str] = ("guest", "guest")
) -> Iterator[RabbitNode]:
    """Runs a node that is stopped afterwards, whatever was done to it."""
    node = RabbitNode(program, folder, credentials=credentials)
    try:
        node.start()
        yield node
    finally:
        node.close()


async def version_at(url: str) -> str | None:
    """Gives the version of the RabbitMQ at a URL; None where none answers."""
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


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_SECONDS)
    released(process.pid)


def _erlang_path() -> str:
    extra = ":".join(str(each) for each in Path("/usr/lib/erlang").glob("erts-*/bin"))
    return f"{os.environ.get('PATH', '')}:{extra}"
