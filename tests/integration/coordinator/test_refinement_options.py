"""Adaptive refinement and exploring, over the wire."""

from __future__ import annotations

import grpc
import pytest

from tests.integration.coordinator.conftest import Bench, State, svm_score

GRID = {"C": [1, 10, 20, 40, 100], "gamma": [0.01, 0.03, 0.05, 0.1]}


async def test_an_adaptive_search_stores_its_factors_and_keeps_to_its_bounds(bench: Bench) -> None:
    await bench.worker(svm_score)
    coordinator = await bench.coordinator()
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid=GRID,
        n_iter_random=12,
        n_iter_bayesian=4,
        refinement_factor=0.2,
        refinement="adaptive",
        explore=0,
    )
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED, ended
    assert [stage.refinement for stage in ended.stages] == ["", "adaptive", "adaptive"]
    assert [stage.explore for stage in ended.stages[1:]] == [0.0, 0.0]
    for refinement in await bench.refinements(started.orchestration_id):
        assert (refinement.rule, refinement.refinement_factor) == ("adaptive", 0.2)
        for each in refinement.parameters:
            if each.before.WhichOneof("domain") in ("int_range", "float_range"):
                assert 0.1 <= each.effective_factor <= 1.0
    phases = {trial.phase for trial in await bench.trials(started.orchestration_id)}
    assert phases == {"grid", "random", "model"}


async def test_unknown_rules_and_shares_are_refused_at_once(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await coordinator.progressive(
            model_run_id=await bench.model_run(), refinement="adaptiv", explore=1.5
        )
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = caught.value.details() or ""
    assert "refinement" in details
    assert '"adaptive"' in details or "adaptive" in details
    assert "explore: 1.5 is outside 0 to 1" in details
