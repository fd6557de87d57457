"""A test run that is killed leaves nothing it has started."""

from __future__ import annotations

import subprocess
import sys

import psutil

from testbed.paths import ROOT

_RUN = """
import subprocess, sys, time
from testbed.guard import guarded, released

left, ended = (subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2))
for each in (left, ended):
    guarded(each.pid)
released(ended.pid)
print(left.pid, ended.pid, flush=True)
time.sleep(600)
"""


def test_what_a_killed_run_leaves_is_ended_and_what_it_released_is_not() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _RUN], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        left, ended = (psutil.Process(int(pid)) for pid in run.stdout.readline().split())
        run.kill()
    gone, _ = psutil.wait_procs([left], timeout=60)
    try:
        assert gone
        assert ended.is_running()
    finally:
        ended.kill()
