"""The documentation's commands, executed as they are written."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from testbed.paths import ROOT
from testbed.processes import Cluster, service_environment
from tests.support.clients import Client
from tests.support.documents import blocks, methods_called
from tuning.v1 import (
    dataset_service_pb2,
    model_service_pb2,
    orchestration_service_pb2,
    run_service_pb2,
    tuning_service_pb2,
)

SUPPORT = Path(__file__).resolve().parents[1] / "support"
PUBLIC = (
    dataset_service_pb2,
    model_service_pb2,
    orchestration_service_pb2,
    run_service_pb2,
    tuning_service_pb2,
)


def _program(folder: Path, name: str, script: Path) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


class Shell:
    """Runs blocks of commands one after another, as one shell would: variables stay."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self._folder = folder
        self._variables = folder / "variables.sh"
        self._variables.write_text("")
        programs = folder / "bin"
        programs.mkdir()
        _program(programs, "grpcurl", SUPPORT / "grpcurl_shim.py")
        if shutil.which("jq") is None:
            _program(programs, "jq", SUPPORT / "jq_shim.py")
        self._environ = service_environment(
            {
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "CRESCENDO_STORE_ADDRESS": cluster.store_address,
                "CRESCENDO_COORDINATOR_ADDRESS": cluster.coordinator_address,
                "CRESCENDO_TEST_GRPCURL": shutil.which("grpcurl") or "",
                "CRESCENDO_TEST_ADDRESSES": (
                    f"localhost:50051={cluster.coordinator_address},"
                    f"localhost:50052={cluster.store_address}"
                ),
            }
        )

    def run(self, block: str) -> str:
        """Runs one block and gives what it printed."""
        block = block.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
        script = (
            f"set -euo pipefail; set -a; . {self._variables}\n{block}\n"
            f"declare -p | grep '_ID=' > {self._variables} || true\n"
        )
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{block}\nended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    def variable(self, name: str) -> str:
        """Gives a variable a block has set."""
        return self.run(f'printf %s "${name}"')


@pytest.fixture
def shell(tmp_path: Path, cluster: Cluster) -> Shell:
    return Shell(tmp_path, cluster)


def test_every_public_rpc_has_a_documented_command() -> None:
    documented = methods_called((ROOT / "docs" / "grpcurl.md").read_text())
    public = {
        f"{service.name}/{method.name}"
        for module in PUBLIC
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert documented == public


def test_the_documented_commands_run_as_written(shell: Shell, client: Client) -> None:
    printed: dict[str, str] = {}
    for block in blocks(ROOT / "docs" / "grpcurl.md", "sh"):
        if "TriggerNextStage" in block:
            # Needs a first success, as the text above the command says.
            client.await_event(shell.variable("LONG_ID"), "best_improved")
        printed |= dict.fromkeys(methods_called(block), shell.run(block))

    assert '"final"' in printed["RunService/WatchOrchestration"]
    assert "LIFECYCLE_STATE_CANCELLED" in printed["OrchestrationService/CancelOrchestration"]
    assert (
        '"rank"' in printed["RunService/GetBestModel"]
        or "best" in printed["RunService/GetBestModel"]
    )
    assert "svm_classifier" in printed["ModelService/ListModelRuns"]


def test_the_readme_s_commands_run_as_written(shell: Shell) -> None:
    for block in blocks(ROOT / "README.md", "sh"):
        shell.run(block)


def test_the_readme_s_python_client_runs_as_written(cluster: Cluster, tmp_path: Path) -> None:
    (program,) = blocks(ROOT / "README.md", "python")
    addresses: Mapping[str, str] = {
        "localhost:50051": cluster.coordinator_address,
        "localhost:50052": cluster.store_address,
    }
    for documented, real in addresses.items():
        assert documented in program
        program = program.replace(documented, real)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=service_environment({}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "random_forest_classifier" in done.stdout
