"""Steps before the last: what they come to is a plain fit's, and so is what follows after all of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.base import clone
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from services.core.objective import EvaluationSpec, Step
from services.core.pruning import PruneDecision
from services.core.pruning_settings import ASHA, Pruning, StepKind
from services.core.step_judging import StepScore
from services.core.training_sizes import rung_rows, stratified_order
from services.worker.adapters.evaluation.evaluator import PreparedEvaluation
from services.worker.adapters.evaluation.folds import FoldStore
from services.worker.ports import Evaluation
from tests.integration.worker.datasets import StoredDataset, built_in
from tests.integration.worker.oracle import SEED, ignore_split

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

ROUNDS = 12
LIGHT: dict[str, Any] = {
    "n_jobs": 1,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
}
BOOSTED: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "gradient_boosting_classifier": (
        "wine",
        GradientBoostingClassifier(random_state=SEED),
        {"subsample": 0.6, "max_features": 0.5},
    ),
    "random_forest_classifier": (
        "wine",
        RandomForestClassifier(random_state=SEED),
        {"max_samples": 0.7},
    ),
    "extra_trees_regressor": ("diabetes", ExtraTreesRegressor(random_state=SEED), {"max_depth": 4}),
    "hist_gradient_boosting_regressor": (
        "diabetes",
        HistGradientBoostingRegressor(random_state=SEED),
        {"max_features": 0.5},
    ),
    "xgboost_classifier": (
        "wine",
        xgboost.XGBClassifier(random_state=SEED, n_jobs=1),
        {"subsample": 0.6, "colsample_bytree": 0.5, "max_depth": 3},
    ),
    "xgboost_regressor": (
        "diabetes",
        xgboost.XGBRegressor(random_state=SEED, n_jobs=1),
        {"subsample": 0.6, "max_depth": 3},
    ),
    "lightgbm_classifier": (
        "wine",
        lightgbm.LGBMClassifier(random_state=SEED, **LIGHT),
        {"subsample": 0.6, "subsample_freq": 1, "colsample_bytree": 0.5},
    ),
}


def stepped(
    dataset: StoredDataset, folder: Path, model_type: str, pruning: Pruning, metric: str
) -> PreparedEvaluation:
    spec = EvaluationSpec(
        dataset_id="x",
        dataset_hash=dataset.content_hash,
        model_type=model_type,
        steps=(Step(type="standard_scaler", name="scale"),),
        metrics=(metric,),
        cv_folds=3,
        random_state=SEED,
    )
    return PreparedEvaluation(
        spec, dataset.materialise(folder / "data"), folds=FoldStore(), pruning=pruning
    )


def told(
    evaluation: PreparedEvaluation, parameters: Mapping[str, Any], *, stop_at: int = 0
) -> tuple[Evaluation, list[StepScore]]:
    """Evaluates, and is stopped after a step. Returns: also the steps."""
    steps: list[StepScore] = []

    def hear(score: StepScore) -> PruneDecision | None:
        steps.append(score)
        if score.step != stop_at:
            return None
        return PruneDecision(stop=True, rule=ASHA, step=score.step, value=score.value)

    return evaluation.evaluate(parameters, ignore_split_quietly, hear), steps


def ignore_split_quietly(split: int, score: float) -> None:
    ignore_split(split, score)


@pytest.mark.parametrize("model_type", BOOSTED)
def test_every_round_is_that_of_a_plain_fit_with_so_many(model_type: str, tmp_path: Path) -> None:
    name, estimator, parameters = BOOSTED[model_type]
    metric = "r2" if name == "diabetes" else "neg_log_loss"
    dataset = built_in(name)
    pruning = Pruning(
        rule=ASHA,
        step_kind=StepKind.BOOSTING_ROUND,
        reduction_factor=2,
        grace_period=3,
        max_steps=ROUNDS,
    )
    evaluation = stepped(dataset, tmp_path, model_type, pruning, metric)
    counts = "max_iter" if model_type.startswith("hist") else "n_estimators"
    result, steps = told(evaluation, {**parameters, counts: ROUNDS})
    assert result.failure is None

    def plain(rounds: int) -> list[float]:
        own = clone(estimator).set_params(**parameters, **{counts: rounds})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores = cross_val_score(
                make_pipeline(StandardScaler(), own),
                dataset.features,
                dataset.target,
                cv=3,
                scoring=metric,
            )
        return [float(each) for each in scores]

    assert [each.step for each in steps] == [3, 6]
    assert {each.kind for each in steps} == {StepKind.BOOSTING_ROUND}
    assert [each.value for each in steps] == [float(np.mean(plain(rounds))) for rounds in (3, 6)]
    assert list(result.metrics[0].scores) == plain(ROUNDS)

    stopped, steps = told(evaluation, {**parameters, counts: ROUNDS}, stop_at=3)
    assert [each.step for each in steps] == [3]
    assert stopped.prune_decision is not None
    assert not stopped.metrics


def test_rungs_are_fits_on_nested_parts_and_the_last_is_the_plain_one(tmp_path: Path) -> None:
    dataset = built_in("wine")
    pruning = Pruning(
        rule=ASHA,
        step_kind=StepKind.TRAINING_SIZE,
        reduction_factor=3,
        min_training_fraction=1 / 9,
        max_steps=3,
    )
    evaluation = stepped(dataset, tmp_path, "k_neighbors_classifier", pruning, "accuracy")
    result, steps = told(evaluation, {"n_neighbors": 3})
    own = make_pipeline(StandardScaler(), KNeighborsClassifier(n_neighbors=3))
    splits = list(StratifiedKFold(3).split(dataset.features, dataset.target))
    expected = []
    for fraction in (1 / 9, 1 / 3):
        scores = []
        for train, test in splits:
            order = stratified_order(dataset.target[train], seed=SEED)
            rows = train[np.sort(order[: rung_rows(len(train), fraction)])]
            fitted = clone(own).fit(dataset.features[rows], dataset.target[rows])
            scores.append(fitted.score(dataset.features[test], dataset.target[test]))
        expected.append(float(np.mean(scores)))
    assert [(each.step, each.value) for each in steps] == [(1, expected[0]), (2, expected[1])]
    whole = cross_val_score(own, dataset.features, dataset.target, cv=3)
    assert list(result.metrics[0].scores) == list(whole)

    # More neighbours than the first rung has rows: no fault of the candidate.
    result, steps = told(evaluation, {"n_neighbors": 20})
    assert result.failure is None
    assert [each.step for each in steps] == [2]
    stopped, _ = told(evaluation, {"n_neighbors": 20}, stop_at=2)
    assert stopped.prune_decision is not None
    assert not stopped.metrics
