"""What a plan's file may say, and how it is told what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crescendo.cli.arguments import BadArgument
from crescendo.cli.search.plan_file import parse_plan
from crescendo.client.model import PlanStage, Pruning, StoppingRules
from crescendo.client.spaces import loguniform


def test_a_file_gives_stages_and_grids(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(
        json.dumps(
            {
                "grids": {"svm_classifier": {"C": [1, 10], "kernel": ["rbf"]}},
                "distributions": {"svm_classifier": {"gamma": "loguniform(0.001, 1)"}},
                "scales": {"svm_classifier": {"C": "log"}},
                "points": {"mlp_classifier": [{"hidden_layer_sizes": [10, 5], "alpha": 1}]},
                "stages": [
                    {"method": "random_search", "n_iter": 5, "stopping": {"plateau_trials": 3}},
                    {"method": "bayesian", "parameters": ["C"], "refinement": "none"},
                    {"method": "local", "radius": 0.1, "pruning": "lossless"},
                    {"method": "tpe", "pruning": {"keep": 3}},
                ],
            }
        )
    )
    plan = parse_plan(str(path))
    assert plan.grids == {"svm_classifier": {"C": [1, 10], "kernel": ["rbf"]}}
    assert plan.stages == [
        PlanStage(method="random_search", n_iter=5, stopping=StoppingRules(plateau_trials=3)),
        PlanStage(method="bayesian", parameters=("C",), refinement="none"),
        PlanStage(method="local", radius=0.1, pruning="lossless"),
        PlanStage(method="tpe", pruning=Pruning(keep=3)),
    ]
    assert plan.distributions == {"svm_classifier": {"gamma": loguniform(0.001, 1)}}
    assert plan.scales == {"svm_classifier": {"C": "log"}}
    assert plan.points == {"mlp_classifier": [{"hidden_layer_sizes": (10, 5), "alpha": 1}]}


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({}, 'must be a JSON object with "stages"'),
        ({"stages": [], "metric": "r2"}, "'metric'; known: stages, grids"),
        ({"stages": [{"n_iter": 3}]}, 'stage 1 must be an object with a "method"'),
        (
            {"stages": [{"method": "tpe", "trials": 3}]},
            "stage 1 has 'trials'; known: method, n_iter",
        ),
        ({"stages": [{"method": "tpe", "parameters": "C"}]}, '"parameters" of stage 1'),
        ({"stages": [{"method": "tpe", "n_iter": 2.5}]}, '"n_iter" of stage 1 is 2.5'),
        ({"stages": [{"method": "tpe", "stopping": {"plateau": 1}}]}, '"stopping" of stage 1 has'),
        (
            {"stages": [{"method": "tpe", "stopping": {"target_score": "high"}}]},
            "must be a number",
        ),
        ({"stages": [], "grids": {"svm_classifier": 3}}, "the grid of svm_classifier"),
        (
            {"stages": [], "distributions": {"svm_classifier": {"C": [1, 2]}}},
            "the distribution of C of svm_classifier must be text",
        ),
        ({"stages": [], "spaces": {"svm_classifier": "x"}}, '"spaces" of svm_classifier'),
        ({"stages": [], "scales": {"svm_classifier": "log"}}, "the scales must be a JSON object"),
        (
            {"stages": [], "scales": {"svm_classifier": {"C": 1}}},
            "the scales must be a JSON object",
        ),
        ({"stages": [], "points": {"svm_classifier": {"C": 1}}}, '"points" of svm_classifier'),
        ({"stages": [], "points": []}, '"points" of the plan must be an object'),
        ({"stages": [{"method": "local", "radius": True}]}, '"radius" of stage 1 is True'),
        ({"stages": [{"method": "tpe", "pruning": {"keeps": 1}}]}, '"pruning" of stage 1 has'),
        ({"stages": [{"method": "tpe", "pruning": 3}]}, '"pruning" of stage 1 must be an object'),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_in_words(
    plan: dict[str, object], words: str
) -> None:
    with pytest.raises(BadArgument, match=words.replace("(", r"\(")):
        parse_plan(json.dumps(plan) if plan else '{"a": 1}')
