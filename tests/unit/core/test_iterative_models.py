"""Which models are fitted round by round, how many rounds a search reaches, and what stands in the way."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier

from services.core.iterative_models import (
    DEFAULT_ROUNDS,
    ROUNDS_PARAMETERS,
    most_rounds,
    rounds_of,
    rounds_problem,
)
from services.core.model_catalog import MODEL_TYPES
from services.core.model_defaults import default_parameters
from services.core.space import Choices, Condition, Grid, IntRange, Parameter, SearchSpace

NOTHING = SearchSpace(parameters=())
FOREST = "random_forest_classifier"


def space(*parameters: Parameter) -> SearchSpace:
    return SearchSpace.of(parameters)


def test_every_model_has_its_rounds_in_its_schema_and_the_same_default() -> None:
    for model_type, name in ROUNDS_PARAMETERS.items():
        assert name in MODEL_TYPES[model_type].parameters
        assert default_parameters(model_type).get(name, DEFAULT_ROUNDS) == DEFAULT_ROUNDS
        assert not rounds_problem(model_type, {}, NOTHING, rows=10_000)


def test_a_candidate_makes_the_rounds_it_sets() -> None:
    assert rounds_of(FOREST, {}) == 100
    assert rounds_of(FOREST, {"n_estimators": 7}) == 7
    assert rounds_of("xgboost_regressor", {"n_estimators": None}) == 100
    assert rounds_of("hist_gradient_boosting_regressor", {"max_iter": 9, "n_estimators": 7}) == 9


def test_a_search_reaches_as_many_rounds_as_its_longest_candidate() -> None:
    listed = Parameter(name="n_estimators", domain=Grid(values=(10, 40, 20)))
    ranged = Parameter(name="n_estimators", domain=IntRange(low=5, high=60))
    assert most_rounds(FOREST, {}, NOTHING) == 100
    assert most_rounds(FOREST, {"n_estimators": 7}, NOTHING) == 7
    assert most_rounds(FOREST, {"n_estimators": 7}, space(listed)) == 40
    assert most_rounds(FOREST, {}, space(ranged)) == 60
    either = SearchSpace(parameters=(), alternatives=(space(listed), space(ranged)))
    assert most_rounds(FOREST, {}, either) == 60
    unset = Parameter(name="n_estimators", domain=IntRange(low=5, high=60), specials=(None,))
    assert most_rounds("xgboost_classifier", {}, space(unset)) == 100
    parent = Parameter(name="max_depth", domain=Choices(values=(2, 3)))
    bound = Parameter(
        name="n_estimators",
        domain=IntRange(low=5, high=60),
        conditions=(Condition(parent="max_depth", values=(2,)),),
    )
    assert most_rounds(FOREST, {}, space(parent, bound)) == 100


@pytest.mark.parametrize(
    ("model_type", "fixed", "word"),
    [
        ("svm_classifier", {}, "not fitted round by round"),
        ("mlp_classifier", {}, "use steps of training_size or fold"),
        ("mlp_regressor", {}, "use steps of training_size or fold"),
        ("xgboost_classifier", {"early_stopping_rounds": 5}, "early_stopping_rounds"),
        ("gradient_boosting_regressor", {"n_iter_no_change": 5}, "n_iter_no_change"),
        ("hist_gradient_boosting_classifier", {"early_stopping": True}, "early_stopping"),
    ],
)
def test_what_ends_a_fit_by_another_rule_is_told(
    model_type: str, fixed: dict[str, bool | int], word: str
) -> None:
    assert word in rounds_problem(model_type, fixed, NOTHING)


def test_what_is_searched_counts_as_what_is_fixed() -> None:
    searched = Parameter(name="early_stopping_rounds", domain=Choices(values=(None, 5)))
    assert "early_stopping_rounds" in rounds_problem("lightgbm_regressor", {}, space(searched))
    never = Parameter(name="early_stopping_rounds", domain=Choices(values=(None,)))
    assert not rounds_problem("lightgbm_regressor", {}, space(never))


def test_histogram_boosting_of_many_rows_must_be_told_not_to_stop() -> None:
    name = "hist_gradient_boosting_classifier"
    assert "fix early_stopping to false" in rounds_problem(name, {}, NOTHING, rows=10_001)
    assert not rounds_problem(name, {"early_stopping": False}, NOTHING, rows=10_001)
    # Where it never stops early, what would count its patience says nothing.
    assert not rounds_problem(name, {"n_iter_no_change": 10}, NOTHING)


@pytest.mark.filterwarnings("ignore")
def test_a_neural_network_fitted_on_is_another_than_one_fitted_at_once() -> None:
    # What its refusal rests on: should this fail, scikit-learn has learnt to, and epochs could be steps.
    features, target = make_classification(n_samples=600, random_state=0)
    plain = MLPClassifier(max_iter=6, random_state=1).fit(features, target)
    warm = MLPClassifier(max_iter=3, random_state=1, warm_start=True)
    warm.fit(features, target).fit(features, target)
    partial = MLPClassifier(random_state=1)
    for _ in range(6):
        partial.partial_fit(features, target, classes=[0, 1])
    for parts in (warm, partial):
        difference = parts.predict_proba(features) - plain.predict_proba(features)
        assert np.abs(difference).max() > 1e-6
