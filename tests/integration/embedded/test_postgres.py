"""The embedded Postgres keeps its rows whatever kills it, and leaves nothing behind."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from services.core.errors import Unavailable
from services.embedded.account import find_account, programs_for
from services.embedded.postgres import embedded_postgres
from testbed.addresses import run_apart

_OWNER = """
import sys, time
from pathlib import Path
from services.embedded.postgres import embedded_postgres
with embedded_postgres(Path(sys.argv[1])) as dsn:
    print(dsn, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(reachable: Path) -> Path:
    return reachable / "postgres"


@pytest.fixture
def owner(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _run(dsn: str, statement: str) -> list[tuple[object, ...]]:
    async def run() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(dsn, timeout=60)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return run_apart(run())


def _server_pid(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def _await_gone(pid: int) -> None:
    deadline = time.monotonic() + 120
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


def test_rows_are_kept_over_a_restart_and_the_password_with_them(folder: Path) -> None:
    with embedded_postgres(folder) as first:
        _run(first, "CREATE TABLE kept AS SELECT 7 AS value")
    with embedded_postgres(folder) as second:
        assert _run(second, "SELECT value FROM kept") == [(7,)]
    assert first.split("@")[0] == second.split("@")[0]


def test_rows_are_kept_when_the_server_is_killed(folder: Path) -> None:
    with embedded_postgres(folder) as dsn:
        _run(dsn, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS value")
        os.kill(_server_pid(folder), signal.SIGKILL)
    with embedded_postgres(folder) as dsn:
        assert _run(dsn, "SELECT count(*), max(value) FROM kept") == [(1000, 1000)]


def test_the_server_stops_when_its_owner_is_killed(
    folder: Path, owner: tuple[subprocess.Popen[str], str]
) -> None:
    process, dsn = owner
    _run(dsn, "CREATE TABLE kept AS SELECT 1 AS value")
    server = _server_pid(folder)
    process.kill()
    process.wait()
    _await_gone(server)
    with embedded_postgres(folder) as dsn:
        assert _run(dsn, "SELECT value FROM kept") == [(1,)]


def test_a_server_left_over_is_stopped_before_another_starts(
    folder: Path, owner: tuple[subprocess.Popen[str], str]
) -> None:
    process, dsn = owner
    _run(dsn, "CREATE TABLE kept AS SELECT 1 AS value")
    leftover = _server_pid(folder)
    guards = [
        each
        for each in psutil.Process(process.pid).children()
        if "crescendo-postgres-guard" in each.cmdline()
    ]
    assert len(guards) == 1
    guards[0].kill()
    process.kill()
    process.wait()
    assert psutil.pid_exists(leftover)
    with embedded_postgres(folder) as dsn:
        assert _run(dsn, "SELECT value FROM kept") == [(1,)]
        assert _server_pid(folder) != leftover
    _await_gone(leftover)


def test_a_folder_in_use_is_refused_naming_the_process(folder: Path) -> None:
    with embedded_postgres(folder), pytest.raises(Unavailable) as caught, embedded_postgres(folder):
        pass
    assert caught.value.reason == "DATA_DIR_IN_USE"
    assert str(os.getpid()) in caught.value.message
    assert str(folder) in caught.value.message


def test_a_password_is_needed(folder: Path) -> None:
    with embedded_postgres(folder) as dsn:
        wrong = dsn.replace((folder / "password").read_text(), "guess")
        with pytest.raises(asyncpg.InvalidPasswordError):
            _run(wrong, "SELECT 1")
    assert (folder / "password").stat().st_mode & 0o077 == 0


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    server = embedded_postgres(folder, 1, {"no_such_setting": "1"})
    with pytest.raises(Unavailable, match="no_such_setting") as caught, server:
        pass
    assert caught.value.reason == "POSTGRES_DID_NOT_START"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it under another account")
def test_data_in_a_folder_the_account_cannot_reach_is_kept_in_one_it_can(
    reachable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.embedded.account._OPEN_FOLDER", reachable / "open")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for value in (1, 2):
        with embedded_postgres(closed / "postgres") as dsn:
            _run(dsn, f"CREATE TABLE kept_{value} AS SELECT 1")
    assert (closed / "postgres" / "cluster").resolve().is_relative_to(reachable / "open")
    folders = list((reachable / "open").iterdir())
    assert len(folders) == 1
    shutil.rmtree(folders[0])
    with embedded_postgres(closed / "postgres") as dsn:
        _run(dsn, "CREATE TABLE kept_1 AS SELECT 1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it under another account")
def test_data_another_user_made_stay_that_users(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    folder.mkdir()
    cluster = folder / "cluster"
    cluster.mkdir(mode=0o700)
    os.chown(cluster, nobody.pw_uid, nobody.pw_gid)
    with embedded_postgres(folder):
        assert psutil.Process(_server_pid(folder)).uids().real == nobody.pw_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it under another account")
def test_programs_an_account_cannot_reach_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, opened = tmp_path / "closed" / "embedded_postgres", tmp_path / "open"
    (closed / "pginstall" / "bin").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    script = closed / "pginstall" / "bin" / "postgres"
    script.write_text("#!/bin/sh\necho postgres\n")
    script.chmod(0o700)
    monkeypatch.setattr("services.embedded.account._OPEN_FOLDER", opened)
    programs = programs_for(find_account(closed), closed, "1")
    assert programs == opened / "postgres-1" / "embedded_postgres"
    assert (programs / "pginstall" / "bin" / "postgres").stat().st_mode & 0o755 == 0o755
    assert programs_for(find_account(closed), closed, "1") == programs
