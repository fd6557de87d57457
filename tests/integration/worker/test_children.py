"""Child processes die, hang, flood and are abandoned; only their own trial notices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from services.core.objective import EvaluationSpec
from services.core.trial import FailureKind
from services.worker.adapters.evaluation.pool import ChildPool
from services.worker.ports import Evaluation, Preparation
from tests.integration.worker.datasets import built_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEADLINE = 120.0

# Minutes of work in one call into C code.
ENDLESS = {"n_estimators": 1_000_000}
QUICK = {"n_estimators": 2}


@pytest.fixture(scope="module")
def preparation(tmp_path_factory: pytest.TempPathFactory) -> Preparation:
    dataset = built_in("breast_cancer")
    spec = EvaluationSpec(
        dataset_id="sklearn:breast_cancer",
        dataset_hash=dataset.content_hash,
        model_type="random_forest_classifier",
        metrics=("accuracy",),
        cv_folds=3,
    )
    folder = dataset.materialise(tmp_path_factory.mktemp("dataset") / "data")
    return Preparation(key="run", spec=spec, dataset=folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[ChildPool]:
    async with ChildPool(1) as pool:
        yield pool


@pytest_asyncio.fixture(loop_scope="module")
async def pool(shared: ChildPool) -> ChildPool:
    """A pool whose one child is ready, whatever the test before did to the child it had."""
    await until(lambda: [each.is_alive for each in shared.children()] == [True], "a child is ready")
    return shared


def ignore_split(_split: int, _score: float) -> None:
    """Nobody watches these trials."""


async def evaluate(
    pool: ChildPool,
    preparation: Preparation,
    parameters: dict[str, int],
    *,
    timeout_seconds: float | None = None,
    on_split: Callable[[int, float], None] = ignore_split,
) -> Evaluation:
    async with asyncio.timeout(DEADLINE):
        return await pool.evaluate(
            preparation, parameters, timeout_seconds=timeout_seconds, on_split=on_split
        )


def children(pool: ChildPool) -> list[psutil.Process]:
    """The pool's children that have not ended."""
    found = []
    for each in pool.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(each.pid))
    return found


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 (other processes give no sign)
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {DEADLINE:g} s: {what}")


def fitting(process: psutil.Process) -> Callable[[], bool]:
    """Tells whether a child that was idle until now is fitting: it has used the processor since."""
    idle = sum(process.cpu_times()[:2])
    return lambda: sum(process.cpu_times()[:2]) > idle + 0.2


async def test_a_killed_child_costs_its_trial_and_is_replaced(
    pool: ChildPool, preparation: Preparation
) -> None:
    await evaluate(pool, preparation, QUICK)
    (child,) = children(pool)
    fits = fitting(child)
    running = asyncio.create_task(evaluate(pool, preparation, ENDLESS))
    await until(fits, "the child fits")
    child.kill()
    result = await running
    assert result.failure is not None
    assert result.failure.kind is FailureKind.CRASH
    assert "SIGKILL" in result.failure.message
    after = await evaluate(pool, preparation, QUICK)
    assert after.failure is None
    assert [each.pid for each in children(pool)] != [child.pid]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
async def test_a_crash_is_told_by_its_signal(
    pool: ChildPool, preparation: Preparation, number: signal.Signals
) -> None:
    await evaluate(pool, preparation, QUICK)
    (child,) = children(pool)
    fits = fitting(child)
    running = asyncio.create_task(evaluate(pool, preparation, ENDLESS))
    await until(fits, "the child fits")
    child.send_signal(number)
    result = await running
    assert result.failure is not None
    assert (result.failure.kind, number.name in result.failure.message) == (FailureKind.CRASH, True)


async def test_one_dying_child_leaves_the_others_alone(preparation: Preparation) -> None:
    async with ChildPool(2) as pool:
        await asyncio.gather(*(evaluate(pool, preparation, QUICK) for _ in range(2)))
        victim, survivor = children(pool)
        fit = [fitting(each) for each in (victim, survivor)]
        running = [asyncio.create_task(evaluate(pool, preparation, ENDLESS)) for _ in range(2)]
        await until(lambda: all(each() for each in fit), "both children fit")
        victim.kill()
        done, pending = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == len(pending) == 1
        assert survivor.is_running()
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)


async def test_a_child_that_died_idle_costs_no_trial(
    pool: ChildPool, preparation: Preparation
) -> None:
    await evaluate(pool, preparation, QUICK)
    (child,) = children(pool)
    child.kill()
    # Until the last of its threads ended the kernel does not call it dead.
    await until(lambda: not psutil.pid_exists(child.pid), "the child is gone")
    result = await evaluate(pool, preparation, QUICK)
    assert result.failure is None


async def test_a_trial_past_its_wall_limit_is_killed(
    pool: ChildPool, preparation: Preparation
) -> None:
    await evaluate(pool, preparation, QUICK)
    (child,) = children(pool)
    result = await evaluate(pool, preparation, ENDLESS, timeout_seconds=0.5)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.TIMEOUT
    assert "0.5 s" in result.failure.message
    assert not child.is_running()
    assert (await evaluate(pool, preparation, QUICK)).failure is None


async def test_starting_and_preparing_do_not_count_towards_the_wall_limit(
    preparation: Preparation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Starting takes longer than the limit on the quickest machine, fitting never on the busiest.
    starting = tmp_path / "starting"
    starting.mkdir()
    (starting / "sitecustomize.py").write_text(
        "import sys, time\nif 'services.worker.child' in sys.orig_argv: time.sleep(6)\n"
    )
    paths = filter(None, [str(starting), os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    begun = time.monotonic()
    async with ChildPool(1) as pool:
        result = await evaluate(pool, preparation, {"n_estimators": 1}, timeout_seconds=5.0)
    assert result.failure is None
    assert time.monotonic() - begun > 6


async def test_a_child_that_ignores_sigterm_is_killed_all_the_same(
    pool: ChildPool, preparation: Preparation
) -> None:
    await evaluate(pool, preparation, QUICK)
    (child,) = children(pool)
    # A stopped process does not act on SIGTERM; nothing but SIGKILL ends it.
    child.suspend()
    result = await evaluate(pool, preparation, QUICK, timeout_seconds=0.2)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.TIMEOUT
    assert not child.is_running()


async def test_a_cancelled_trial_kills_its_child(pool: ChildPool, preparation: Preparation) -> None:
    await evaluate(pool, preparation, QUICK)
    (child,) = children(pool)
    fits = fitting(child)
    running = asyncio.create_task(evaluate(pool, preparation, ENDLESS))
    await until(fits, "the child fits")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not child.is_running(), "the child is dead")
    assert (await evaluate(pool, preparation, QUICK)).failure is None


async def test_splits_are_told_as_they_are_scored_once_a_trial_takes_its_time(
    pool: ChildPool, preparation: Preparation
) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            short: list[int] = []
            begun = time.monotonic()
            await evaluate(pool, preparation, QUICK, on_split=lambda split, _: short.append(split))  # noqa: B023 (called within)
            if time.monotonic() - begun < 1:
                break
            # On a busy machine it was no short one.
    assert short == []
    told: list[tuple[int, float]] = []
    result = await evaluate(
        pool,
        preparation,
        {"n_estimators": 1200},
        on_split=lambda split, score: told.append((split, score)),
    )
    assert told == list(enumerate(result.metrics[0].scores))


async def test_leaving_the_pool_leaves_no_child(preparation: Preparation) -> None:
    async with ChildPool(2) as pool:
        await evaluate(pool, preparation, QUICK)
        fit = [fitting(each) for each in children(pool)]
        running = asyncio.create_task(evaluate(pool, preparation, ENDLESS))
        await until(lambda: any(each() for each in fit), "a child fits")
        family = children(pool)
        running.cancel()
    assert [each for each in family if each.is_running()] == []
    await asyncio.wait({running})


async def test_a_missing_dataset_folder_is_no_fault_of_the_trial(
    pool: ChildPool, preparation: Preparation, tmp_path: Path
) -> None:
    gone = Preparation(key="gone", spec=preparation.spec, dataset=tmp_path / "gone")
    result = await evaluate(pool, gone, QUICK)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.INFRA
    assert str(tmp_path) not in result.failure.message
    assert (await evaluate(pool, preparation, QUICK)).failure is None
