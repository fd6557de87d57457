"""Kept preprocessing changes no score and no failure, whatever the steps, the model, the splits and the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import model_selection
from sklearn.model_selection import cross_validate

from services.core.model_catalog import MODEL_TYPES
from services.core.objective import EvaluationSpec, Step, Task
from services.core.preprocessing_types import STEP_TYPES
from services.core.splitting import Splitter
from services.core.trial import FailureKind
from services.worker.adapters.dataset_folder import read_folder
from services.worker.adapters.evaluation.estimators import build
from services.worker.adapters.evaluation.evaluator import PreparedEvaluation
from services.worker.adapters.evaluation.folds import FoldStore
from services.worker.adapters.evaluation.prefix_cache import PrefixCache
from services.worker.ports import Evaluation
from tests.integration.worker.datasets import from_frame
from tests.integration.worker.oracle import SEED, ignore_split

NUMBERS = ["a", "b", "c", "d"]
SCALE = Step(type="standard_scaler", name="scale")
ENCODE = Step(type="one_hot_encoder", name="encode")

# A parameter of each type with two values to search.
SEARCHED: Mapping[str, tuple[str, tuple[Any, Any]]] = {
    "impute": ("strategy", ("mean", "median")),
    "standard_scaler": ("with_mean", (True, False)),
    "min_max_scaler": ("clip", (True, False)),
    "robust_scaler": ("unit_variance", (True, False)),
    "one_hot_encoder": ("drop", (None, "first")),
    "ordinal_encoder": ("min_frequency", (None, 5)),
    "target_encoder": ("cv", (2, 3)),
    "select_k_best": ("score_func", ("f_classif", "mutual_info_classif")),
    "pca": ("n_components", (2, 3)),
    "truncated_svd": ("n_components", (2, 3)),
    "polynomial_features": ("degree", (1, 2)),
    "power_transformer": ("standardize", (True, False)),
    "quantile_transformer": ("output_distribution", ("uniform", "normal")),
    "variance_threshold": ("threshold", (0.0, 0.5)),
}
FIXED: Mapping[str, Mapping[str, Any]] = {
    "select_k_best": {"k": 2},
    "quantile_transformer": {"n_quantiles": 20},
}
MODELS = ("svm_classifier", "gaussian_nb", "logistic_regression", "decision_tree_classifier")
SPLITTERS: tuple[tuple[Splitter | None, Any], ...] = (
    (None, 3),
    (
        Splitter(type="repeated_stratified_k_fold", n_splits=2, n_repeats=2),
        model_selection.RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=SEED),
    ),
    (
        Splitter(type="shuffle_split", n_splits=3, test_size=0.3),
        model_selection.ShuffleSplit(3, test_size=0.3, random_state=SEED),
    ),
)


def patients(rows: int = 90) -> pd.DataFrame:
    """Positive numbers and text, in which the target shows."""
    random = np.random.default_rng(3)
    ill = random.random(rows) < 0.5
    frame = pd.DataFrame(random.lognormal(size=(rows, 4)), columns=NUMBERS)
    frame["a"] += ill
    frame["city"] = np.where(
        random.random(rows) < 0.3 + 0.4 * ill,
        "Cork",
        random.choice(["Athens", "Bergen"], rows),
    )
    return frame.assign(ill=np.where(ill, "yes", "no"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    frame = patients()
    arrays = frame.drop(columns=["city"])
    measured = arrays.assign(ill=arrays["a"] + arrays["b"])
    root = tmp_path_factory.mktemp("patients")
    sets = {
        "array": from_frame(arrays, target="ill", task="classification"),
        "frame": from_frame(frame, target="ill", task="classification"),
        "regression": from_frame(measured, target="ill", task="regression"),
    }
    return {name: each.materialise(root / name) for name, each in sets.items()}


def spec_of(model_type: str, steps: Sequence[Step], **changes: Any) -> EvaluationSpec:
    classifies = MODEL_TYPES[model_type].task is Task.CLASSIFICATION
    spec = EvaluationSpec(
        dataset_id="d",
        dataset_hash="h",
        model_type=model_type,
        steps=tuple(steps),
        metrics=("neg_log_loss", "accuracy") if classifies else ("r2",),
        cv_folds=3,
        random_state=SEED,
    )
    if classifies and not MODEL_TYPES[model_type].probabilities:
        spec = replace(spec, metrics=("accuracy",))
    return replace(spec, **changes)


def scores_of(result: Evaluation) -> dict[str, list[float]]:
    assert result.failure is None
    return {each.metric: list(each.scores) for each in result.metrics}


def _cases() -> Iterator[Any]:
    others = cycle((model, *each) for model in MODELS for each in SPLITTERS)
    for name, step_type in STEP_TYPES.items():
        for kind in ("array", "frame"):
            if kind == "frame" or not step_type.encodes:
                yield pytest.param(name, kind, *next(others), id=f"{name}-{kind}")


@pytest.mark.parametrize(("step_type", "kind", "model_type", "splitter", "oracle"), list(_cases()))
def test_scores_are_those_of_the_whole_pipeline(
    step_type: str,
    kind: str,
    model_type: str,
    splitter: Splitter | None,
    oracle: Any,
    folders: dict[str, Path],
) -> None:
    step = Step(type=step_type, name="it", parameters=FIXED.get(step_type, {}))
    steps: tuple[Step, ...] = (SCALE, step)
    if kind == "frame" and not STEP_TYPES[step_type].encodes:
        # Features are ranked once they are all numbers.
        steps = (SCALE, ENCODE, step) if step_type == "select_k_best" else (SCALE, step, ENCODE)
    spec = spec_of(model_type, steps, splitter=splitter)
    if splitter is not None:
        spec = replace(spec, cv_folds=oracle.get_n_splits())
    parameter, values = SEARCHED[step_type]
    data = read_folder(folders[kind])
    built = build(spec, numeric=data.numeric, categorical=data.categorical)
    cache = PrefixCache(1 << 24)
    folds = FoldStore()
    plain = PreparedEvaluation(spec, folders[kind], folds=folds)
    kept = PreparedEvaluation(spec, folders[kind], folds=folds, prefixes=cache)
    for value in values:
        point = {f"it__{parameter}": value}
        expected = cross_validate(
            built.with_parameters(point),
            data.features,
            data.target,
            cv=oracle,
            scoring=list(spec.metrics),
            error_score="raise",
        )
        scores = {name: list(expected[f"test_{name}"]) for name in spec.metrics}
        assert scores_of(plain.evaluate(point, ignore_split)) == scores
        # The second time nothing is fitted but the model.
        for _ in range(2):
            assert scores_of(kept.evaluate(point, ignore_split)) == scores
    use = cache.take_use()
    assert use.reused >= use.fitted > 0


SMALL = {"n_estimators": 3, "max_iter": 20, "max_depth": 2}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_no_model_can_change_what_is_kept(model_type: str, folders: dict[str, Path]) -> None:
    library = MODEL_TYPES[model_type].library
    if library != "sklearn":
        pytest.importorskip(library)
    classifies = MODEL_TYPES[model_type].task is Task.CLASSIFICATION
    folder = folders["array" if classifies else "regression"]
    small = {
        name: value for name, value in SMALL.items() if name in MODEL_TYPES[model_type].parameters
    }
    spec = spec_of(model_type, (SCALE,), fixed_parameters=small, cv_folds=2)
    cache = PrefixCache(1 << 24)
    kept = PreparedEvaluation(spec, folder, folds=FoldStore(), prefixes=cache)
    plain = PreparedEvaluation(spec, folder, folds=FoldStore())
    expected = scores_of(plain.evaluate({}, ignore_split))
    assert scores_of(kept.evaluate({}, ignore_split)) == expected
    before = _contents(cache)
    assert scores_of(kept.evaluate({}, ignore_split)) == expected
    assert _contents(cache) == before != []
    assert (use := cache.take_use()).reused == use.fitted == 2


def _contents(cache: PrefixCache) -> list[bytes]:
    return [
        part.tobytes()
        for entry in cache._kept.values()
        for part in (entry.transformed.train, entry.transformed.test)
    ]


@pytest.mark.parametrize("model_type", ["ridge", "lasso"])
def test_models_that_write_to_their_data_have_it_for_themselves(
    model_type: str, folders: dict[str, Path]
) -> None:
    folder = folders["regression"]
    steps = (Step(type="min_max_scaler", name="scale"),)
    writing = spec_of(model_type, steps, fixed_parameters={"copy_X": False})
    cache, folds = PrefixCache(1 << 24), FoldStore()
    kept = PreparedEvaluation(writing, folder, folds=folds, prefixes=cache)
    expected = scores_of(
        PreparedEvaluation(writing, folder, folds=folds).evaluate({}, ignore_split)
    )
    for _ in range(2):
        assert scores_of(kept.evaluate({}, ignore_split)) == expected
    # Another model, behind the same steps, finds them as they were.
    decent = spec_of(model_type, steps)
    shared = PreparedEvaluation(decent, folder, folds=folds, prefixes=cache)
    alone = PreparedEvaluation(decent, folder, folds=folds)
    cache.take_use()
    assert shared.evaluate({}, ignore_split).metrics == alone.evaluate({}, ignore_split).metrics
    assert cache.take_use().reused > 0


@pytest.mark.parametrize(
    ("step", "point", "kind"),
    [
        # Fails while it is fitted, behind a step that is kept.
        (
            Step(type="power_transformer", name="it"),
            {"it__method": "box-cox"},
            "INVALID_PARAMETERS",
        ),
        (Step(type="pca", name="it"), {"it__n_components": 500}, "INVALID_PARAMETERS"),
        (Step(type="pca", name="it"), {"it__n_components": -1}, "INVALID_PARAMETERS"),
        # The model fails, behind steps that do not.
        (Step(type="pca", name="it"), {"C": -1.0}, "INVALID_PARAMETERS"),
        (Step(type="pca", name="it"), {"l1_ratio": 1.0, "solver": "lbfgs"}, "INVALID_PARAMETERS"),
    ],
)
def test_failures_are_told_as_without(
    step: Step, point: dict[str, Any], kind: str, folders: dict[str, Path]
) -> None:
    spec = spec_of("logistic_regression", (SCALE, step))
    cache, folds = PrefixCache(1 << 24), FoldStore()
    plain = PreparedEvaluation(spec, folders["array"], folds=folds).evaluate(point, ignore_split)
    assert plain.failure is not None
    assert plain.failure.kind is FailureKind[kind]
    kept = PreparedEvaluation(spec, folders["array"], folds=folds, prefixes=cache)
    for _ in range(2):
        result = kept.evaluate(point, ignore_split)
        assert (result.failure, result.metrics) == (plain.failure, plain.metrics)


def test_a_step_that_fails_on_the_test_part_fails_after_the_model(tmp_path: Path) -> None:
    # The last fold's test part has a city of its own.
    frame = patients().sort_values("ill", kind="stable", ignore_index=True)
    frame.loc[len(frame) - 1, "city"] = "Delft"
    folder = from_frame(frame, target="ill", task="classification").materialise(tmp_path / "data")
    encode = replace(ENCODE, parameters={"handle_unknown": "error"})
    spec = spec_of("logistic_regression", (SCALE, encode))
    for point in ({}, {"C": -1.0}):
        results = [
            PreparedEvaluation(spec, folder, folds=FoldStore(), prefixes=cache).evaluate(
                point, ignore_split
            )
            for cache in (PrefixCache(0), PrefixCache(1 << 24))
        ]
        assert results[0].failure is not None
        assert results[0].failure == results[1].failure
        assert results[0].metrics == results[1].metrics


def test_weights_go_to_the_model_behind_kept_steps(tmp_path: Path) -> None:
    frame = patients().drop(columns=["city"])
    plain_folder = from_frame(frame, target="ill", task="classification").materialise(
        tmp_path / "data"
    )
    spec = spec_of("logistic_regression", (SCALE,), weighted_scoring=True)
    np.save(plain_folder / "weight.npy", np.random.default_rng(1).uniform(0, 3, len(frame)))
    description = (plain_folder / "columns.json").read_text()
    (plain_folder / "columns.json").write_text(
        description.replace('"roles": []', '"roles": ["weight"]')
    )
    cache = PrefixCache(1 << 24)
    plain = PreparedEvaluation(spec, plain_folder, folds=FoldStore())
    kept = PreparedEvaluation(spec, plain_folder, folds=FoldStore(), prefixes=cache)
    expected = scores_of(plain.evaluate({}, ignore_split))
    for _ in range(2):
        assert scores_of(kept.evaluate({}, ignore_split)) == expected
    assert cache.take_use().reused == 3
    unweighted = replace(spec, weighted_scoring=False)
    assert expected != scores_of(
        PreparedEvaluation(unweighted, plain_folder, folds=FoldStore()).evaluate({}, ignore_split)
    )
