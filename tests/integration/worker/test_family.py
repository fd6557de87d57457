"""Ending a family by numbers: never a stranger that was given the number of one that ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from services.worker.adapters.evaluation.family import end_family, processes, relatives_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="found by number on Linux alone")

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
input()
"""


@pytest.fixture
def stranger() -> Iterator[tuple[psutil.Process, psutil.Process]]:
    """A process and its child that have nothing to do with any family."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        yield psutil.Process(process.pid), child
        for each in (child, process):
            with suppress(psutil.NoSuchProcess):
                each.kill()


def test_a_stranger_with_an_old_number_keeps_its_children(
    stranger: tuple[psutil.Process, psutil.Process],
) -> None:
    parent, child = stranger
    remembered = psutil.Process(parent.pid)
    # As it is remembered, it began at another time: its number was given away since.
    vars(remembered)["_ident"] = (parent.pid, parent.create_time() - 1000)
    assert end_family("nobody's", {remembered}) == 0
    assert parent.is_running()
    assert child.is_running()
    assert end_family("nobody's", {parent}) == 2
    _, alive = psutil.wait_procs([child], timeout=60)
    assert not alive


def test_what_was_seen_below_a_child_is_not_believed_of_a_stranger(
    stranger: tuple[psutil.Process, psutil.Process],
) -> None:
    parent, child = stranger
    assert relatives_of(parent.pid, [child.pid]) == {child}
    assert relatives_of(1, [child.pid]) == set()
    assert processes([child.pid]) == {child}
