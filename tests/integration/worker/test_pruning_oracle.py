"""Pruning without loss: GridSearchCV says what must be kept, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.svm import SVC

from services.core.pruning import Leader, place_of, threshold_of, with_leader
from services.core.pruning_settings import Pruning
from services.core.statistics import mean_score
from services.worker.adapters.evaluation.pool import ChildPool
from services.worker.ports import Preparation, Standard
from tests.integration.worker.datasets import built_in
from tests.integration.worker.oracle import SEED, Case, ignore_split


async def test_lossless_pruning_keeps_grid_search_cvs_best_with_fewer_fits(tmp_path: Path) -> None:
    case = Case(
        dataset="wine",
        model_type="svm_classifier",
        estimator=SVC(random_state=SEED),
        grid={"C": [0.01, 1.0, 10.0, 100.0], "gamma": [0.000001, 0.0001, 0.001, 0.1]},
    )
    dataset = built_in(case.dataset)
    folder = dataset.materialise(tmp_path / "data")
    preparation = Preparation(key="run", spec=case.spec(dataset), dataset=folder)
    candidates = list(ParameterGrid(case.grid))
    order = np.random.default_rng(0).permutation(len(candidates))
    frame, target = dataset.features, dataset.target
    reference = GridSearchCV(case.estimator, case.grid, cv=5, refit=False).fit(frame, target)
    means = reference.cv_results_["mean_test_score"]
    async with ChildPool(1) as pool:
        for keep in (1, 3):
            pruning = Pruning(keep=keep)
            leaders: tuple[Leader, ...] = ()
            fits = 0
            for index in map(int, order):
                place = place_of(index, index)
                threshold = threshold_of(leaders, pruning)
                evaluation = await pool.evaluate(
                    preparation,
                    candidates[index],
                    timeout_seconds=None,
                    on_split=ignore_split,
                    standard=(
                        None if threshold is None else Standard(threshold=threshold, place=place)
                    ),
                )
                assert evaluation.failure is None
                scores = evaluation.metrics[0].scores
                fits += len(scores)
                assert list(scores) == [
                    reference.cv_results_[f"split{split}_test_score"][index]
                    for split in range(len(scores))
                ]
                if evaluation.prune_decision is None:
                    leader = Leader(score=mean_score(scores), place=place)
                    leaders = with_leader(leaders, leader, keep=keep)
            best = sorted(range(len(candidates)), key=lambda each: (-means[each], each))[:keep]
            assert [(each.place[0], each.score) for each in leaders] == [
                (each, means[each]) for each in best
            ]
            assert leaders[0].place[0] == reference.best_index_
            assert fits < 5 * len(candidates)
