"""Where the services are looked for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crescendo.cli import embedded
from crescendo.client.addresses import Addresses, find_addresses, local_addresses
from crescendo.client.errors import CrescendoError

HERE = Addresses(coordinator="127.0.0.1:7001", store="127.0.0.1:7002")


def _publish(folder: Path, pid: int) -> None:
    content = {"coordinator": HERE.coordinator, "store": HERE.store, "pid": pid}
    (folder / "addresses.json").write_text(json.dumps(content))


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_is_given_wins_over_the_environment_over_this_machine_over_the_defaults(
    tmp_path: Path,
) -> None:
    environ = {"CRESCENDO_DATA_DIR": str(tmp_path)}
    usual = find_addresses(None, None, environ)
    assert usual == Addresses(coordinator="127.0.0.1:50051", store="127.0.0.1:50052")
    _publish(tmp_path, os.getpid())
    assert find_addresses(None, None, environ) == HERE
    said = {**environ, "CRESCENDO_STORE_ADDRESS": "a:1"}
    assert find_addresses(None, None, said) == Addresses(coordinator=HERE.coordinator, store="a:1")
    assert find_addresses("b:2", "c:3", said) == Addresses(coordinator="b:2", store="c:3")


def test_services_that_died_are_not_found(tmp_path: Path) -> None:
    _publish(tmp_path, _dead_pid())
    assert local_addresses(tmp_path) is None


def test_only_the_process_asked_for_counts(tmp_path: Path) -> None:
    _publish(tmp_path, os.getpid())
    assert local_addresses(tmp_path, pid=os.getpid()) == HERE
    assert local_addresses(tmp_path, pid=1) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": "x"}'])
def test_a_file_that_is_none_is_no_address(content: str, tmp_path: Path) -> None:
    (tmp_path / "addresses.json").write_text(content)
    assert local_addresses(tmp_path) is None


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (0, ["127.0.0.1:0"] * 3),
        (7000, ["127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7002"]),
    ],
)
def test_a_port_is_the_coordinators_and_the_stores_follow(
    port: int, expected: list[str], tmp_path: Path
) -> None:
    environ = embedded.environment(tmp_path, port)
    names = ("COORDINATOR_LISTEN", "STORE_LISTEN", "STORE_INTERNAL_LISTEN")
    assert [environ[f"CRESCENDO_{name}"] for name in names] == expected
    assert environ["CRESCENDO_DATA_DIR"] == str(tmp_path)


def test_services_that_do_not_start_leave_their_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRESCENDO_WORKER_SLOTS", "many")
    with (
        pytest.raises(CrescendoError, match="CRESCENDO_WORKER_SLOTS") as caught,
        embedded.started(tmp_path),
    ):
        pass
    assert caught.value.reason == "SERVICES_DID_NOT_START"
    assert str(tmp_path / "services.log") in caught.value.message


def test_a_client_alone_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(CrescendoError, match=re.escape("crescendo-tuning[embedded]")):
        embedded.check_installed()
