"""Surroundings of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.addresses import free_port


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No services of this machine are found."""
    monkeypatch.setenv("CRESCENDO_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.delenv("CRESCENDO_COORDINATOR_ADDRESS", raising=False)
    monkeypatch.setenv("CRESCENDO_STORE_ADDRESS", f"127.0.0.1:{free_port()}")
