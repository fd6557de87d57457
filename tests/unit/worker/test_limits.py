"""How much memory a trial may have, from settings, control groups and the machine."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from services.worker.adapters.evaluation.failures import clip
from services.worker.adapters.evaluation.limits import MIB, _group_limits, share_of_memory
from services.worker.settings import WorkerSettings


def test_shares_are_equal_and_leave_room_for_the_machine() -> None:
    total = psutil.virtual_memory().total
    assert 4 * share_of_memory(4) <= 0.8 * total
    assert share_of_memory(1024) == 512 * MIB


def test_limits_of_both_versions_of_control_groups_are_found_up_to_the_root(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("4:memory:/pods/one\n3:cpu,cpuacct:/pods\n0::/slice/service\n")
    root = tmp_path / "fs"
    for path, text in {
        "slice/memory.max": "3000\n",
        "slice/service/memory.max": "max\n",
        "memory/pods/memory.limit_in_bytes": "2000",
        "memory/pods/one/memory.limit_in_bytes": "9223372036854771712",
    }.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert sorted(_group_limits(membership, root)) == [2000, 3000, 9223372036854771712]


def test_a_group_that_only_the_host_can_see_leaves_the_containers_own(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    root = tmp_path / "fs"
    root.mkdir()
    (root / "memory.max").write_text("4000")
    for path in ("/../../host/only", "/host/only"):
        membership.write_text(f"0::{path}\n")
        assert _group_limits(membership, root) == [4000]


def test_memory_too_small_for_an_idle_child_is_refused() -> None:
    with pytest.raises(ValueError, match=r"CRESCENDO_TRIAL_MEMORY_MB=100: must be 0 or 384 to "):
        WorkerSettings(trial_memory_mb=100)
    with pytest.raises(ValueError, match="CRESCENDO_CHILD_GROWTH_MB=0"):
        WorkerSettings(child_growth_mb=0)
    assert WorkerSettings(trial_memory_mb=0).trial_memory_mb == 0


def test_a_message_of_megabytes_is_clipped_quickly_and_keeps_no_password() -> None:
    assert len(clip("x" * 5_000_000).encode()) == 4096
    told = clip("amqp://user:secret@host/ " + "y" * 5_000_000)
    assert "secret" not in told
    assert told.startswith("amqp://user:***@host/ yyy")
