"""Marks of families: inherited whatever a process does to its environment, session and parents."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from services.worker.adapters.evaluation.family import end_family, marked
from services.worker.adapters.evaluation.marks import (
    MARK,
    bears,
    family_mark,
    limits_of,
    new_owner,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="marks are Linux's alone")

# Bears a mark as a child does, and leaves behind a process of which nothing else tells whose it is.
_CHILD = """
import os, subprocess, sys
from services.worker.adapters.evaluation.marks import MARK, bear
bear(os.environ[MARK])
orphan = subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(600)"],
    env={}, start_new_session=True, stdout=subprocess.DEVNULL,
)
print(orphan.pid, flush=True)
"""
_BEARER = """
import os
from services.worker.adapters.evaluation.marks import MARK, bear
bear(os.environ[MARK])
print("marked", flush=True)
input()
"""
_TRIAL = """
import resource
from services.worker.adapters.evaluation.marks import bear, family_mark, limits_of, new_owner
mark = family_mark(new_owner(), 0)
bear(mark)
print(resource.getrlimit(resource.RLIMIT_RTTIME) == limits_of(mark))
"""
_GUARD = "services.worker.guard"


def _orphan_of(mark: str) -> psutil.Process:
    """Starts a process without environment or parent, in its own session, in a marked family."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        env=os.environ | {MARK: mark},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    return psutil.Process(int(done.stdout))


@pytest.fixture(scope="module", autouse=True)
def _kernel_takes_marks() -> None:
    """Skips where the limit cannot be set: there the environment alone has to do."""
    done = subprocess.run(
        [sys.executable, "-c", _TRIAL], stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    if done.stdout != "True\n":
        pytest.skip("this machine does not let a process lower RLIMIT_RTTIME")


@pytest.fixture
def owner() -> Iterator[str]:
    """The beginning of marks of a worker, of which nothing is left afterwards."""
    owner = new_owner()
    yield owner
    for each in marked(owner):
        with suppress(psutil.NoSuchProcess):
            each.kill()


def test_an_orphan_with_an_empty_environment_is_found_by_its_family_and_by_its_worker(
    owner: str,
) -> None:
    first, second = (_orphan_of(family_mark(owner, number)) for number in (1, 12))
    assert marked(family_mark(owner, 1)) == {first}
    assert marked(family_mark(owner, 12)) == {second}
    assert marked(owner) == {first, second}
    assert marked(new_owner()) == set()
    assert end_family(family_mark(owner, 1), set()) == 1
    _, alive = psutil.wait_procs([first], timeout=60)
    assert alive == []
    assert marked(owner) == {second}


def test_the_guard_of_a_worker_that_is_gone_ends_orphans_nobody_ever_saw(owner: str) -> None:
    orphan = _orphan_of(family_mark(owner, 0))
    done = subprocess.run(
        [sys.executable, "-m", _GUARD, owner],
        # Nothing is told, and there is nobody to tell anything.
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0
    _, alive = psutil.wait_procs([orphan], timeout=60)
    assert alive == []


def test_what_has_ended_is_not_found_though_nobody_has_asked_how(owner: str) -> None:
    mark = family_mark(owner, 3)
    with subprocess.Popen(
        [sys.executable, "-c", _BEARER], env=os.environ | {MARK: mark}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "marked\n"
        assert marked(mark) == {psutil.Process(process.pid)}
        process.kill()
        # It is left as it ended: a zombie.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert marked(mark) == set()


def test_strangers_bear_no_mark(owner: str) -> None:
    own = os.getpid()
    assert not bears(own, owner)
    assert not bears(own, family_mark(owner, 0))
    # Nor does a process that has ended.
    with subprocess.Popen([sys.executable, "-c", ""], env=os.environ | {MARK: owner}) as process:
        process.wait(timeout=300)
    assert not bears(process.pid, owner)


def test_every_family_has_limits_of_its_own_that_limit_nothing(owner: str) -> None:
    other = new_owner()
    families = [family_mark(each, number) for each in (owner, other) for number in range(50)]
    limits = [limits_of(each) for each in families]
    assert len(set(limits)) == len(families)
    for mark, found in zip(families, limits, strict=True):
        worker = limits_of(mark[: mark.index(".") + 1])
        assert found is not None
        assert worker is not None
        soft, hard = found
        assert soft is not None
        # A thousand years, in microseconds, and what the kernel can hold.
        assert 1_000 * 31_536_000 * 10**6 < soft < hard < 2**63
        assert worker == (None, hard)


@pytest.mark.parametrize("mark", ["", "nobody's", "zz.1.", "00.x."])
def test_what_is_no_mark_of_a_family_has_no_limits(mark: str) -> None:
    assert limits_of(mark) is None
