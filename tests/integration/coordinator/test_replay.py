"""A finished search derived again from its seeds and its event log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from crescendo.cli.main import main as crescendo
from services.common.rpc.client import open_channel
from services.coordinator import replay as command
from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.adapters.store_client import StoreClient
from services.coordinator.ports import SearchTask
from services.coordinator.service.replaying import RunReplay, replay
from services.core.digest import assignment_digest
from services.core.plan import TUNING_METHODS
from services.core.searcher import Searcher
from services.core.space import Value
from tests.integration.coordinator.conftest import Bench, State, svm_score

GRID = {"C": [0.1, 1, 10, 100], "gamma": [0.001, 0.01, 0.1]}


def _sometimes_failing(parameters: Mapping[str, Value]) -> float | None:
    # By its digest: the same in every run.
    return None if int(assignment_digest(parameters), 16) % 5 == 0 else svm_score(parameters)


async def _replayed(bench: Bench, orchestration_id: str, seed_shift: int = 0) -> list[RunReplay]:
    def make(task: SearchTask) -> Searcher:
        return make_searcher(replace(task, seed=task.seed + seed_shift))

    async with open_channel(bench.store.address) as channel:
        store = StoreClient(public=channel, internal=channel)
        return await replay(store, orchestration_id, make)


async def test_every_trial_of_every_method_is_derived_again_from_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(_sometimes_failing, slots=3)
    model_run = await bench.model_run()
    started = [
        await coordinator.progressive(
            model_run_id=model_run, initial_param_grid=GRID, n_iter_random=8, n_iter_bayesian=8
        )
    ]
    for method in TUNING_METHODS:
        budget = {} if method == "grid_search" else {"n_iter": 12}
        radius = {"radius": 0.5} if method == "local" else {}
        started.append(
            await coordinator.tuning(
                model_run_id=model_run,
                tuning_method=method,
                param_grid={"C": [0.1, 1, 10, 100], "gamma": ["scale", 0.001, 0.01]},
                **budget,
                **radius,
            )
        )
    for each in started:
        whole = await bench.ended(each.orchestration_id)
        assert whole.state == State.LIFECYCLE_STATE_COMPLETED
        for run in await _replayed(bench, each.orchestration_id):
            assert run.trials == run.run.counts.completed > 0
            assert run.run.method_used == run.run.method
            assert not run.differences, run

    # Of another seed come other points: the comparison sees what differs.
    other = await _replayed(bench, started[0].orchestration_id, seed_shift=1)
    assert not other[0].differences
    assert other[1].differences
    assert other[2].differences

    monkeypatch.setenv("CRESCENDO_STORE_ADDRESS", bench.store.address)
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(crescendo, ["replay", started[0].orchestration_id])
    said = capfd.readouterr().out.splitlines()
    lines = [each for each in said if each.startswith("stage")]
    assert ended.value.code == 0
    assert lines[0] == "stage 0, svm_classifier, grid_search: 12 trials derived again, all equal"
    assert len(lines) == 3


async def test_stages_that_hold_parameters_learn_from_the_others_and_are_derived_again(
    bench: Bench,
) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(_sometimes_failing, slots=3)
    model_run = await bench.model_run()
    started = await coordinator.plan(
        model_run_ids=[model_run],
        distributions={
            model_run: {
                "parameters": {
                    "C": {"type": "loguniform", "lower": 0.1, "upper": 100},
                    "gamma": {"type": "loguniform", "lower": 0.001, "upper": 0.1},
                }
            }
        },
        stages=[
            {"method": "random_search", "n_iter": 14},
            {"method": "bayesian", "n_iter": 5, "parameters": ["C"]},
            {"method": "tpe", "n_iter": 5, "parameters": ["gamma"], "refinement": "none"},
            {"method": "local", "n_iter": 4, "parameters": ["C"]},
        ],
    )
    whole = await bench.ended(started.orchestration_id)
    assert whole.state == State.LIFECYCLE_STATE_COMPLETED
    phases = {
        trial.phase
        for trial in await bench.trials(started.orchestration_id)
        if trial.stage_index in (1, 2)
    }
    # They need no start-up: what the random stage tried tells them of other values.
    assert phases <= {"model", "explore"}
    replayed = await _replayed(bench, started.orchestration_id)
    assert [each.trials for each in replayed] == [14, 5, 5, 4]
    for run in replayed:
        assert not run.differences, run


async def test_a_search_that_fell_back_is_derived_again_too(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    await bench.worker(svm_score)
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(), tuning_method="tpe", param_grid={"C": [1.5]}
    )
    await bench.ended(started.orchestration_id)
    (run,) = await _replayed(bench, started.orchestration_id)
    assert (run.trials, run.differences, run.fell_back_at) == (1, (), 0)


async def test_what_is_not_there_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRESCENDO_STORE_ADDRESS", bench.store.address)
    nobody = "00000000-0000-4000-8000-000000000000"
    assert await asyncio.to_thread(command.main, [nobody]) == 2
    assert nobody in capsys.readouterr().err
