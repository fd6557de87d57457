"""Nothing a worker's trials have started outlives a worker that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from services.worker.adapters.evaluation.environment import child_environment
from tests.integration.worker.datasets import built_in
from tests.support import hostility

SCRIPT = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    import psutil
    from services.core.objective import EvaluationSpec
    from services.worker.adapters.evaluation.pool import ChildPool
    from services.worker.ports import Preparation
    from tests.support.injection.misbehaviour import SLEEPER

    def sleeps(process):
        # The one that starts a sleeper and ends is among the relatives for a moment, perhaps as a zombie.
        try:
            return process.cmdline()[-1:] == [SLEEPER]
        except psutil.Error:
            return False

    def sleepers(child):
        return [each for each in child._relatives if sleeps(each)]

    async def main(folder, var_smoothing):
        spec = EvaluationSpec(
            dataset_id="x", dataset_hash="", model_type="gaussian_nb", metrics=("accuracy",), cv_folds=3
        )
        async with ChildPool(1) as pool:
            trial = asyncio.create_task(pool.evaluate(
                Preparation(key="run", spec=spec, dataset=Path(folder)),
                {"var_smoothing": var_smoothing},
                timeout_seconds=None,
                on_split=lambda split, score: None,
            ))
            while not pool.children() or len(sleepers(pool.children()[0])) < 4:
                await asyncio.sleep(0.02)
            print("ready", flush=True)
            await trial

    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
    """
)


@pytest.mark.parametrize("frozen", [False, True])
def test_grandchildren_of_a_killed_worker_go_with_it(frozen: bool, tmp_path: Path) -> None:
    """In the child's group, in sessions of their own, orphaned, and with an empty environment."""
    folder = built_in("breast_cancer").materialise(tmp_path / "data")
    environ = child_environment(os.environ | hostility.injected())
    smoothing = hostility.smoothing("grandchildren_and_loop")
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(smoothing)],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        # Logs go there too.
        assert any(line == "ready\n" for line in worker.stdout)
        family = psutil.Process(worker.pid).children(recursive=True)
        # The child, four it started, and the guard, which ends last.
        assert len(family) == 6
        if frozen:
            worker.send_signal(signal.SIGSTOP)
        worker.kill()
    _, alive = psutil.wait_procs(family, timeout=60)
    # Left alone they sleep ten times as long.
    assert alive == []


IDLE_SCRIPT = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from services.core.objective import EvaluationSpec
    from services.worker.adapters.evaluation.pool import ChildPool
    from services.worker.ports import Preparation

    async def main(folder):
        spec = EvaluationSpec(
            dataset_id="x", dataset_hash="", model_type="gaussian_nb", metrics=("accuracy",), cv_folds=3
        )
        async with ChildPool(1) as pool:
            await pool.evaluate(
                Preparation(key="run", spec=spec, dataset=Path(folder)),
                {},
                timeout_seconds=None,
                on_split=lambda split, score: None,
            )
            print("ready", flush=True)
            await asyncio.sleep(600)

    asyncio.run(main(sys.argv[1]))
    """
)


def test_an_idle_child_ends_with_its_killed_worker(tmp_path: Path) -> None:
    folder = built_in("breast_cancer").materialise(tmp_path / "data")
    with subprocess.Popen(
        [sys.executable, "-c", IDLE_SCRIPT, str(folder)],
        env=child_environment(dict(os.environ)),
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert any(line == "ready\n" for line in worker.stdout)
        family = psutil.Process(worker.pid).children(recursive=True)
        assert any("services.worker.child" in each.cmdline() for each in family)
        worker.kill()
    gone, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    assert len(gone) == len(family)
