"""scikit-learn as the oracle: a search as Crescendo is told of it, and as a person would write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.model_selection import GridSearchCV, ParameterGrid

from services.core.objective import EvaluationSpec, Step
from services.worker.adapters.evaluation.evaluator import PreparedEvaluation
from services.worker.adapters.evaluation.folds import FoldStore
from services.worker.adapters.evaluation.prefix_cache import PrefixCache
from services.worker.adapters.evaluation.shortcuts import known_answers
from services.worker.ports import Evaluation
from tests.integration.worker.datasets import StoredDataset, built_in, from_frame, mixed_frame

SEED = 42


@dataclass(frozen=True, kw_only=True)
class Case:
    """One search: how Crescendo is told about it, and the estimator a person would write."""

    dataset: str
    model_type: str
    estimator: Any
    grid: Mapping[str, list[Any]]
    fixed: Mapping[str, Any] | None = None
    steps: tuple[Step, ...] = ()
    metrics: tuple[str, ...] = ("accuracy",)
    cv_folds: int = 5
    # Crescendo's parameter names → the pipeline's, where they differ.
    renamed: Mapping[str, str] | None = None

    def spec(self, dataset: StoredDataset) -> EvaluationSpec:
        return EvaluationSpec(
            dataset_id=f"sklearn:{self.dataset}",
            dataset_hash=dataset.content_hash,
            model_type=self.model_type,
            fixed_parameters=self.fixed or {},
            steps=self.steps,
            cv_folds=self.cv_folds,
            metrics=self.metrics,
            random_state=SEED,
        )


def dataset_of(case: Case) -> StoredDataset:
    if case.dataset == "mixed":
        return from_frame(mixed_frame(), target="bought", task="classification")
    return built_in(case.dataset)


def prepared(spec: EvaluationSpec, folder: Path) -> PreparedEvaluation:
    # Kept as in children; `test_prefix_oracle` holds it against nothing kept.
    return PreparedEvaluation(spec, folder, folds=FoldStore(), prefixes=PrefixCache(1 << 26))


def ignore_split(_split: int, _score: float) -> None:
    """Nobody watches these trials."""


def evaluate(evaluation: PreparedEvaluation, parameters: Mapping[str, Any]) -> Evaluation:
    # With a child's shortcuts, which the oracle does without.
    with known_answers():
        return evaluation.evaluate(parameters, ignore_split)


def assert_scores_are_those_of_grid_search_cv(case: Case, folder: Path) -> None:
    """Runs every candidate of a case; each split of each metric has GridSearchCV's score, bit for bit."""
    dataset = dataset_of(case)
    renamed = dict(case.renamed or {})
    oracle = GridSearchCV(
        case.estimator,
        {renamed.get(key, key): values for key, values in case.grid.items()},
        cv=case.cv_folds,
        scoring=list(case.metrics),
        refit=False,
        error_score="raise",
    ).fit(dataset.features, dataset.target)
    evaluation = prepared(case.spec(dataset), dataset.materialise(folder / "data"))
    back = {theirs: ours for ours, theirs in renamed.items()}
    candidates = list(ParameterGrid({renamed.get(k, k): v for k, v in case.grid.items()}))
    assert oracle.cv_results_["params"] == candidates
    for index, candidate in enumerate(candidates):
        result = evaluate(evaluation, {back.get(key, key): each for key, each in candidate.items()})
        assert result.failure is None
        assert [each.metric for each in result.metrics] == list(case.metrics)
        for scores in result.metrics:
            expected = [
                oracle.cv_results_[f"split{split}_test_{scores.metric}"][index]
                for split in range(case.cv_folds)
            ]
            assert list(scores.scores) == expected
