"""Trials that do the worst they can, each beside one that must end with the right score all the same."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score
from structlog.testing import capture_logs

from services.core.objective import EvaluationSpec
from services.core.trial import FailureKind
from services.worker.adapters.evaluation.family import marked
from services.worker.adapters.evaluation.limits import MIB, ChildLimits
from services.worker.adapters.evaluation.pool import ChildPool
from services.worker.adapters.evaluation.process import Child
from services.worker.ports import Evaluation, Preparation
from tests.integration.worker.datasets import built_in
from tests.support import hostility

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEADLINE = 120.0
MEMORY = 512 * MIB
SLOTS = 4
STEADY = {"n_estimators": 60}
NO_LIMITS: Mapping[str, float] = {}
BREAST_CANCER = built_in("breast_cancer")


def preparation(
    folder: Path, model_type: str, key: str, *, metric: str = "accuracy"
) -> Preparation:
    spec = EvaluationSpec(
        dataset_id="sklearn:breast_cancer",
        dataset_hash=BREAST_CANCER.content_hash,
        model_type=model_type,
        metrics=(metric,),
        cv_folds=3,
        random_state=3,
    )
    return Preparation(key=key, spec=spec, dataset=folder)


@dataclass(kw_only=True)
class Bench:
    """Slots for trials that misbehave, and one for the neighbour that must not notice."""

    pool: ChildPool
    hostile: Preparation
    steady: Preparation
    expected: tuple[float, ...]
    strangers: set[psutil.Process]
    neighbours: int = 0
    splits: list[tuple[int, float]] = field(default_factory=list)

    async def run(self, *ways: str, limits: Mapping[str, float] = NO_LIMITS) -> list[Evaluation]:
        """Runs trials that misbehave, and beside them a neighbour again and again.

        Those that end by themselves get no wall limit: on a busy machine they might reach it.
        """
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.alone(hostility.trial(way), timeout_seconds=limits.get(way)))
                for way in ways
            ]
            before = self.neighbours
            while self.neighbours == before or not all(each.done() for each in tasks):
                await self.check_neighbour()
        return [each.result() for each in tasks]

    async def alone(
        self, parameters: dict[str, float], *, timeout_seconds: float | None = None
    ) -> Evaluation:
        return await self.pool.evaluate(
            self.hostile,
            parameters,
            timeout_seconds=timeout_seconds,
            on_split=lambda *split: self.splits.append(split),
        )

    async def check_neighbour(self) -> None:
        result = await self.pool.evaluate(
            self.steady, STEADY, timeout_seconds=None, on_split=lambda *_: None
        )
        assert result.failure is None
        assert result.metrics[0].scores == self.expected
        self.neighbours += 1

    async def failures(
        self, *ways: str, limits: Mapping[str, float] = NO_LIMITS
    ) -> dict[str, tuple[FailureKind, str]]:
        """Runs trials that misbehave at once, and a good one after each. Returns: how they failed."""
        results = await self.run(*ways, limits=limits)
        for after in await asyncio.gather(*(self.alone(hostility.GOOD) for _ in ways)):
            assert after.failure is None
        return {
            way: (each.failure.kind, each.failure.message)
            for way, each in zip(ways, results, strict=True)
            if each.failure is not None
        }

    def family(self) -> set[psutil.Process]:
        """Every process that carries the pool's mark or descends from a child, the guard excepted."""
        found = marked(self.pool._owner)
        # Servers that other tests of this process started are none of the pool's.
        for child in set(psutil.Process().children()) - self.strangers:
            with suppress(psutil.NoSuchProcess):
                for each in (child, *child.children(recursive=True)):
                    if lives(each) and "services.worker.guard" not in each.cmdline():
                        found.add(each)
        return found

    def busy(self) -> list[Child]:
        return [each for each in self.pool.children() if each.is_busy]

    def idle(self) -> list[Child]:
        return [each for each in self.pool.children() if not each.is_busy]

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                while not condition():  # noqa: ASYNC110 (other processes give no sign)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"not within {DEADLINE:g} s: {what}; {self.family()}")

    async def settle(self) -> None:
        """Waits until there is nothing but idle children."""
        await self.until(
            lambda: len(self.idle()) == SLOTS and len(self.family()) == SLOTS, "only idle children"
        )


@pytest.fixture(scope="module")
def hostile_python() -> Iterator[None]:
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [hostility.INJECTION, before]))
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(
    hostile_python: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    folder = BREAST_CANCER.materialise(tmp_path_factory.mktemp("data") / "data")
    expected = cross_val_score(
        RandomForestClassifier(**STEADY, random_state=3),
        BREAST_CANCER.features,
        BREAST_CANCER.target,
        cv=3,
    )
    strangers = set(psutil.Process().children())
    async with ChildPool(SLOTS, ChildLimits(memory_bytes=MEMORY, growth_bytes=192 * MIB)) as pool:
        yield Bench(
            strangers=strangers,
            pool=pool,
            # Its scorer can be made to misbehave; accuracy is counted without one.
            hostile=preparation(folder, "gaussian_nb", "hostile", metric="balanced_accuracy"),
            steady=preparation(folder, "random_forest_classifier", "steady"),
            expected=tuple(expected),
        )


async def test_a_fault_costs_its_own_trial_alone(bench: Bench) -> None:
    crashes = replaced("crash")
    failures = await bench.failures("segfault", "leave", "raise_at_length")
    assert replaced("crash") == crashes + 2
    assert failures["segfault"][0] is failures["leave"][0] is FailureKind.CRASH
    assert "SIGSEGV" in failures["segfault"][1]
    assert "exit status 0" in failures["leave"][1]
    kind, message = failures["raise_at_length"]
    assert (kind, len(message.encode())) == (FailureKind.EXCEPTION, 4096)
    await bench.settle()


async def test_a_trial_that_uses_too_much_memory_is_told_so(bench: Bench) -> None:
    failures = await bench.failures("eat_memory", "eat_memory_together")
    assert {kind for kind, _ in failures.values()} == {FailureKind.OOM}
    assert "the limit is 512 MiB" in failures["eat_memory"][1]
    assert "the limit is 512 MiB (CRESCENDO_TRIAL_MEMORY_MB" in failures["eat_memory_together"][1]
    await bench.settle()


async def test_nonsense_on_the_pipe_costs_the_trial_that_wrote_it(bench: Bench) -> None:
    failures = await bench.failures("write_garbage", "write_unasked", "write_too_much")
    assert {kind for kind, _ in failures.values()} == {FailureKind.CRASH}
    assert all("no answer" in message for _, message in failures.values())
    await bench.settle()


async def test_the_wall_limit_ends_what_never_ends(bench: Bench) -> None:
    ways = ("loop_in_python", "loop_in_c", "ignore_sigterm")
    failures = await bench.failures(*ways, limits=dict.fromkeys(ways, 0.5))
    assert [failures[way][0] for way in ways] == [FailureKind.TIMEOUT] * 3
    assert all("0.5 s" in message for _, message in failures.values())
    await bench.settle()


async def test_children_that_stop_or_close_their_pipes_are_replaced(bench: Bench) -> None:
    failures = await bench.failures("stop", "close_pipes", limits={"stop": 1.0})
    assert failures["stop"][0] is FailureKind.TIMEOUT
    kind, message = failures["close_pipes"]
    assert (kind, "stopped answering" in message) == (FailureKind.CRASH, True)
    await bench.settle()


async def test_scores_that_are_not_finite_fail_their_trial(bench: Bench) -> None:
    for parameters in (hostility.NAN, hostility.INFINITE, hostility.MINUS_INFINITE):
        result = await bench.alone(parameters)
        assert result.failure is not None
        assert result.failure.kind is FailureKind.NON_FINITE
        assert result.metrics == ()


async def test_floods_of_output_block_nothing_and_are_not_kept(bench: Bench) -> None:
    await bench.alone(hostility.GOOD)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with capture_logs() as logs:
        results = await bench.run("flood", "flood_without_newlines")
        await asyncio.gather(*(bench.alone(hostility.GOOD) for _ in range(3)))
    # Three fits each, 32 MiB a fit.
    assert [each.failure for each in results] == [None, None]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert sum(len(each.get("text", "")) for each in logs) < 64 * 1024
    assert sum(each.get("dropped_bytes", 0) for each in logs) > 180 * MIB


async def test_grandchildren_end_with_their_trial(bench: Bench) -> None:
    ways = ("grandchildren", "grandchildren_and_loop", "grandchildren_and_death")
    failures = await bench.failures(*ways, limits={"grandchildren_and_loop": 3.0})
    assert {way: kind for way, (kind, _) in failures.items()} == {
        "grandchildren_and_loop": FailureKind.TIMEOUT,
        "grandchildren_and_death": FailureKind.CRASH,
    }
    await bench.settle()


async def test_a_cancelled_trial_dies_with_all_it_started(bench: Bench) -> None:
    ways = ("loop_in_c", "ignore_sigterm", "grandchildren_and_loop")
    running = [asyncio.create_task(bench.alone(hostility.trial(way))) for way in ways]
    await bench.until(lambda: len(bench.busy()) == 3 and len(bench.family()) == 8, "all misbehave")
    doomed = bench.family() - {psutil.Process(each.pid) for each in bench.idle()}
    for each in running:
        each.cancel()
    await bench.until(lambda: not any(map(lives, doomed)), "all are dead")
    await asyncio.wait(running)
    await bench.settle()


async def test_a_child_that_grows_is_replaced_without_costing_a_trial(bench: Bench) -> None:
    before = {each.pid for each in bench.pool.children()}
    first = await bench.alone(hostility.GOOD)
    # Three fits leave 3 × 96 MiB behind.
    leaky = await bench.run("leak")
    assert (first.failure, leaky[0].failure) == (None, None)
    await bench.until(
        lambda: len(before - {each.pid for each in bench.pool.children()}) == 1, "it is replaced"
    )
    await bench.settle()


async def test_a_result_that_came_while_the_worker_was_frozen_is_no_timeout(bench: Bench) -> None:
    await bench.check_neighbour()
    running = asyncio.create_task(
        bench.pool.evaluate(bench.steady, STEADY, timeout_seconds=1.0, on_split=lambda *_: None)
    )
    await bench.until(lambda: len(bench.busy()) == 1, "it runs")
    (child,) = bench.busy()
    # Nothing happens in this process until the child has computed and the limit is past; one that only
    # waits for a processor is not asleep.
    frozen, used = time.monotonic(), 0.0
    process = psutil.Process(child.pid)
    while (
        time.monotonic() - frozen < 1.5
        or used < sum(process.cpu_times()[:2])
        or process.status() != psutil.STATUS_SLEEPING
    ):
        used = sum(process.cpu_times()[:2])
        time.sleep(0.3)  # noqa: ASYNC251 (the freeze)
    result = await running
    assert result.failure is None
    assert result.metrics[0].scores == bench.expected


async def test_a_child_that_served_long_is_replaced_between_two_trials(
    hostile_python: None, bench: Bench
) -> None:
    before = replaced("evaluations")
    async with ChildPool(1, ChildLimits(max_evaluations=3)) as pool:
        pids: set[int] = set()
        async with asyncio.timeout(DEADLINE):
            while len(pids) < 2:
                result = await pool.evaluate(
                    bench.hostile, hostility.GOOD, timeout_seconds=None, on_split=lambda *_: None
                )
                assert result.failure is None
                pids |= {each.pid for each in pool.children()}
    assert replaced("evaluations") > before


async def test_a_guard_that_was_killed_is_replaced(bench: Bench) -> None:
    def guards() -> list[psutil.Process]:
        return [
            each
            for each in psutil.Process().children()
            if each.status() != psutil.STATUS_ZOMBIE and "services.worker.guard" in each.cmdline()
        ]

    (guard,) = guards()
    guard.kill()
    await bench.until(lambda: bool(guards()) and guards() != [guard], "another guard")


def replaced(cause: str) -> float:
    name = "crescendo_worker_children_replaced_total"
    return REGISTRY.get_sample_value(name, {"cause": cause}) or 0.0


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
