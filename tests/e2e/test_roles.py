"""A table whose columns have roles, uploaded and scored on explicit splits through the running services."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from google.protobuf.json_format import ParseDict
from scipy import stats
from sklearn import model_selection
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer

from tests.support.clients import Client, violations
from tuning.v1 import (
    dataset_pb2,
    objective_pb2,
    orchestration_pb2,
    run_service_pb2,
    trial_pb2,
    tuning_service_pb2,
)

SEED = 11
FEATURES = ["age", "income"]
METRICS = {"f1": make_scorer(f1_score, pos_label="sick"), "accuracy": "accuracy"}
ROLES = dataset_pb2.DatasetRoles(
    group_column="site", weight_column="w", fold_column="part", positive_label="sick"
)


def visits(rows: int = 160) -> pd.DataFrame:
    """Patients of five sites."""
    random = np.random.default_rng(3)
    values = random.normal(size=(rows, 2))
    frame = pd.DataFrame(values, columns=FEATURES)
    return frame.assign(
        site=[f"site {each}" for each in random.integers(0, 5, rows)],
        w=np.round(random.uniform(0.5, 2, rows), 3),
        part=random.integers(-1, 3, rows),
        ill=np.where(values[:, 0] + random.normal(size=rows) > 0, "sick", "healthy"),
    )


def validated(client: Client, model_run_id: str, **fields: Any) -> trial_pb2.Trial:
    """Cross-validates to the end. Returns: the one trial."""
    body = {
        "model_run_id": model_run_id,
        "scoring_metrics": list(METRICS),
        "random_state": SEED,
        "return_train_scores": True,
        **fields,
    }
    request = ParseDict(body, tuning_service_pb2.StartCrossValidationRequest())
    started = client.tuning.StartCrossValidation(request, timeout=60).orchestration
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == orchestration_pb2.LIFECYCLE_STATE_COMPLETED
    (trial,) = client.trials(started.orchestration_id)
    return trial


def test_roles_of_an_upload_decide_how_its_rows_are_split_and_weighted(client: Client) -> None:
    frame = visits()
    uploaded = client.upload(frame.to_csv(index=False).encode(), target="ill", roles=ROLES)
    assert uploaded.roles == ROLES
    assert [each.name for each in uploaded.columns] == FEATURES
    model_run_id = client.create_model_run(uploaded.dataset_id, "logistic_regression")
    splitters: dict[str, tuple[dict[str, Any], Any]] = {
        "leave_one_group_out": ({}, model_selection.LeaveOneGroupOut()),
        "predefined_split": ({}, model_selection.PredefinedSplit(frame["part"].to_numpy())),
        "repeated_stratified_k_fold": (
            {"n_splits": 3, "n_repeats": 2},
            model_selection.RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=SEED),
        ),
    }
    x, y = frame[FEATURES].to_numpy(), frame["ill"].to_numpy()
    for name, (settings, oracle) in splitters.items():
        trials = [
            validated(
                client,
                model_run_id,
                splitter={"type": name, **settings},
                parameters={"C": strength},
            )
            for strength in (0.01, 1.0)
        ]
        expected = [
            model_selection.cross_validate(
                LogisticRegression(C=strength, random_state=SEED),
                x,
                y,
                groups=frame["site"].to_numpy() if name == "leave_one_group_out" else None,
                cv=oracle,
                scoring=METRICS,
                params={"sample_weight": frame["w"].to_numpy()},
                return_train_score=True,
            )
            for strength in (0.01, 1.0)
        ]
        for trial, scores in zip(trials, expected, strict=True):
            assert [each.metric for each in trial.metrics] == list(METRICS)
            for each in trial.metrics:
                for part, found in (("test", each.split_scores), ("train", each.train_scores)):
                    assert list(found) == pytest.approx(scores[f"{part}_{each.metric}"], abs=1e-12)
        _assert_compared(client, trials, expected, repeated=name.startswith("repeated"))


def _assert_compared(
    client: Client, trials: list[trial_pb2.Trial], expected: list[Any], *, repeated: bool
) -> None:
    """Two cross-validations are compared as the test by hand says."""
    compared = client.runs.CompareTrials(
        run_service_pb2.CompareTrialsRequest(
            orchestration_id=trials[0].orchestration_id,
            first_number=0,
            second_orchestration_id=trials[1].orchestration_id,
            second_number=0,
        ),
        timeout=60,
    ).comparison
    differences = expected[0]["test_f1"] - expected[1]["test_f1"]
    count = len(differences)
    ratio = np.mean([each.test_rows / each.train_rows for each in trials[0].splits])
    plain = stats.ttest_rel(expected[0]["test_f1"], expected[1]["test_f1"])
    statistic = plain.statistic * np.sqrt((1 / count) / (1 / count + ratio))
    assert compared.metric == "f1"
    assert compared.difference == pytest.approx(np.mean(differences), abs=1e-12)
    assert compared.statistic == pytest.approx(statistic, rel=1e-6)
    assert compared.p_value == pytest.approx(2 * stats.t.sf(abs(statistic), count - 1), rel=1e-6)
    assert compared.interval_method == (
        objective_pb2.INTERVAL_METHOD_CORRECTED_T
        if repeated
        else objective_pb2.INTERVAL_METHOD_CORRECTED_T_HEURISTIC
    )


def test_folds_beside_splits_that_the_data_decide_are_refused(client: Client) -> None:
    content = visits(40).to_csv(index=False).encode()
    uploaded = client.upload(content, target="ill", roles=ROLES)
    model_run_id = client.create_model_run(uploaded.dataset_id, "logistic_regression")
    request = tuning_service_pb2.StartCrossValidationRequest(
        model_run_id=model_run_id,
        cv_folds=5,
        splitter=objective_pb2.Splitter(type="leave_one_group_out"),
    )
    with pytest.raises(grpc.RpcError) as refused:
        client.tuning.StartCrossValidation(request, timeout=60)
    assert "leave one of the two out" in violations(refused.value)["cv_folds"]
