"""Searches of lists of grids through the coordinator's API, on a real store."""

from __future__ import annotations

from tests.integration.coordinator.conftest import Bench, State, svm_score

GRIDS = [
    {"values": {"kernel": ["linear"], "C": [1, 10, 100]}},
    {"values": {"kernel": ["rbf"], "C": [1, 10, 100], "gamma": [0.01, 0.1]}},
]


async def test_a_progressive_search_goes_on_with_the_grid_of_the_best_trial(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    # Without gamma a point is half as good as the worst with it.
    await bench.worker(lambda point: svm_score(point) * (1.0 if "gamma" in point else 0.5))
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid_list=GRIDS,
        n_iter_random=10,
        n_iter_bayesian=8,
    )
    assert started.stages[0].tuning_runs[0].total_combinations == 9
    ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED, ended
    assert [stage.counts.succeeded for stage in ended.stages] == [9, 10, 8]
    grid, random, _ = (stage.tuning_runs[0] for stage in ended.stages)
    assert [len(each.parameters) for each in grid.space.alternatives] == [2, 3]
    assert len(random.original_space.alternatives) == 2
    assert [each.name for each in random.space.parameters] == ["C", "gamma", "kernel"]
    trials = await bench.trials(started.orchestration_id)
    assert [each.candidate_index for each in trials[:9]] == [*range(9)]
    assert ["gamma" in each.parameters.values for each in trials[:9]] == [False] * 3 + [True] * 6
    # What looks outside a refined space may look in the other grid; the rest keeps to the best one.
    looked = [each for each in trials[9:] if each.phase != "explore"]
    assert all("gamma" in each.parameters.values for each in looked)
    first, _ = await bench.refinements(started.orchestration_id)
    assert "Goes on in alternative 2 of 2" in first.summary
    assert set(first.evidence_trial_numbers) <= set(range(3, 9))
