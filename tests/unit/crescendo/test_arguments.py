"""What people type is understood, or said to be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from crescendo.cli import arguments, space_arguments
from crescendo.cli.arguments import BadArgument
from crescendo.client.errors import InvalidRequest
from crescendo.client.model import Pruning, Splitter, Step
from crescendo.client.spaces import choice, loguniform, quniform, randint, space_to_proto
from crescendo.client.values import (
    grid_list_to_proto,
    grid_lists_to_proto,
    grid_to_proto,
    grids_to_structs,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-3", -3),
        ("0.1", 0.1),
        ("1e-3", 0.001),
        ("1.0", 1.0),
        ("null", None),
        ("None", None),
        ("true", True),
        ("False", False),
        ("sqrt", "sqrt"),
        ('"5"', "5"),
        ("'null'", "null"),
        (" rbf ", "rbf"),
        ("(100, 50)", (100, 50)),
        ("[100]", (100,)),
        ("(100,)", (100,)),
        ("()", ()),
        ('(1, "a,b", null)', (1, "a,b", None)),
    ],
)
def test_values(text: str, value: object) -> None:
    parsed = arguments.parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_values_are_separated_by_commas_outside_brackets() -> None:
    assert arguments.parse_values("5,10,20,null") == [5, 10, 20, None]
    assert arguments.parse_values("(100,50),(100,),0.5") == [(100, 50), (100,), 0.5]
    assert arguments.parse_values('"a,b",c') == ["a,b", "c"]


def test_params_add_to_the_grid_and_win() -> None:
    grid = space_arguments.parse_grid('{"C": [1, 10], "layers": [[100, 50]]}', ["C=5", "gamma=0.1"])
    assert grid == {"C": [5], "layers": [(100, 50)], "gamma": [0.1]}


def test_a_grid_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "grid.json"
    path.write_text('{"max_depth": [5, null]}')
    assert space_arguments.parse_grid(str(path), []) == {"max_depth": [5, None]}


def test_distributions_are_read_by_parameter() -> None:
    read = space_arguments.parse_distributions(
        [
            "C=loguniform(0.01, 1e2)",
            "n=randint(2,20)",
            "q=quniform(0,1,0.1)",
            "k=choice(a,null,(5,5))",
        ]
    )
    assert read == {
        "C": loguniform(0.01, 100),
        "n": randint(2, 20),
        "q": quniform(0, 1, 0.1),
        "k": choice(["a", None, (5, 5)]),
    }


def test_a_space_is_read_from_a_file_into_its_message(tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    path.write_text('{"parameters": [{"name": "C", "float_range": {"low": 0.1, "high": 2}}]}')
    content = space_arguments.parse_space(str(path))
    assert content is not None
    (parameter,) = space_to_proto(content).parameters
    assert (parameter.name, parameter.float_range.high) == ("C", 2.0)


def test_what_is_no_space_is_refused_with_an_example() -> None:
    with pytest.raises(InvalidRequest, match="float_range"):
        space_to_proto({"parameters": [{"nam": "C"}]})


def test_grids_by_model() -> None:
    assert space_arguments.parse_grids('{"svm_classifier": {"C": [1]}}') == {
        "svm_classifier": {"C": [1]}
    }
    assert space_arguments.parse_grids(None) == {}


def test_distributions_are_read_by_model_type() -> None:
    read = space_arguments.distributions_of({"ridge": {"alpha": "loguniform(0.1, 10)"}})
    assert read == {"ridge": {"alpha": loguniform(0.1, 10.0)}}


def test_a_list_of_grids_is_read_and_added_to() -> None:
    read = space_arguments.parse_grid('[{"kernel": ["linear"]}, {"gamma": [0.1, 1]}]', ["C=1,10"])
    assert read == [{"kernel": ["linear"], "C": [1, 10]}, {"gamma": [0.1, 1], "C": [1, 10]}]
    by_type = space_arguments.parse_grids('{"svm_classifier": [{"C": [1]}, {"C": [2]}]}')
    assert by_type == {"svm_classifier": [{"C": [1]}, {"C": [2]}]}
    assert len(grid_list_to_proto(read)) == 2
    assert not grid_to_proto(read)
    assert set(grid_lists_to_proto(by_type)) == {"svm_classifier"}
    assert not grids_to_structs(by_type)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("standard_scaler", Step(type="standard_scaler", parameters={})),
        (
            "impute@numeric:strategy=median",
            Step(type="impute", columns="numeric", parameters={"strategy": "median"}),
        ),
        (
            "best=select_k_best:k=5",
            Step(type="select_k_best", name="best", parameters={"k": 5}),
        ),
        (
            "min_max_scaler:feature_range=(0, 1),clip=true",
            Step(type="min_max_scaler", parameters={"feature_range": (0, 1), "clip": True}),
        ),
    ],
)
def test_steps(text: str, step: Step) -> None:
    assert arguments.parse_step(text) == step


@pytest.mark.parametrize(
    ("parse", "says"),
    [
        (lambda: space_arguments.parse_grid(None, ["max_depth"]), "NAME=VALUE"),
        (lambda: space_arguments.parse_grid(None, ["=5"]), "NAME=VALUE"),
        (lambda: space_arguments.parse_distributions(["C=1,2"]), "is no distribution"),
        (lambda: space_arguments.parse_distributions(["C=uniform(a,b)"]), "needs numbers"),
        (lambda: space_arguments.parse_grid(None, ["a=(1, 2"]), "not closed"),
        (lambda: space_arguments.parse_grid(None, ['a="x']), "not closed"),
        (lambda: space_arguments.parse_grid(None, ["a=1,,2"]), "empty"),
        (lambda: space_arguments.parse_grid(None, ["a=((1,2),3)"]), "nested too deep"),
        (lambda: space_arguments.parse_grid("{bad", []), "not JSON"),
        (lambda: space_arguments.parse_grid("/no/such/file.json", []), "cannot be read"),
        (lambda: space_arguments.parse_grid('{"C": 5}', []), "object of lists"),
        (lambda: space_arguments.parse_grid("[]", []), "empty list"),
        (lambda: space_arguments.distributions_of({"svm": {"C": 1}}), "must be text such as"),
        (lambda: space_arguments.distributions_of({"C": "uniform(0,1)"}), "JSON object such as"),
        (lambda: space_arguments.distributions_of({"svm": {"C": "0.1"}}), "no distribution"),
        (lambda: space_arguments.parse_scales(["C", "a"], ["C"]), "C cannot be both"),
        (lambda: space_arguments.parse_grids('{"svm": [1]}'), "the grid of svm"),
        (lambda: arguments.parse_step("=x"), "names no step"),
        (lambda: arguments.parse_step("x=:a=1"), "names no step"),
    ],
)
def test_mistakes_say_what_to_write(parse: object, says: str) -> None:
    assert callable(parse)
    with pytest.raises(BadArgument, match=says):
        parse()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("1.5", 1.5),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("1H 30M".replace(" ", ""), 5400.0),
        ("2d", 172_800.0),
        ("0.5h", 1800.0),
        ("1d2h3m4s", 93_784.0),
    ],
)
def test_time_spans(text: str, seconds: float) -> None:
    assert arguments.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "soon", "10x", "m", "-5", "30m1h", "nan", "1e3"])
def test_what_is_no_time_span_is_said_with_examples(text: str) -> None:
    with pytest.raises(BadArgument, match="1h30m"):
        arguments.parse_duration(text)


def test_a_splitter_has_typed_settings() -> None:
    assert arguments.parse_splitter(None) is None
    assert arguments.parse_splitter("k_fold:shuffle=true") == Splitter(type="k_fold", shuffle=True)
    assert arguments.parse_splitter("shuffle_split:n_splits=8,test_size=0.25") == Splitter(
        type="shuffle_split", n_splits=8, test_size=0.25
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (":gap=1", "names no splitter"),
        ("k_fold:folds=3", "known: n_splits"),
        ("k_fold:shuffle=1", "true or false"),
        ("time_series_split:gap=0.5", "whole number"),
        ("shuffle_split:test_size=most", "a number"),
        ("k_fold:shuffle", "NAME=VALUE"),
    ],
)
def test_a_splitter_that_cannot_be_read_says_why(text: str, problem: str) -> None:
    with pytest.raises(BadArgument, match=problem):
        arguments.parse_splitter(text)


def test_a_pruning_rule_has_typed_figures() -> None:
    assert arguments.parse_pruning(None) is None
    assert arguments.parse_pruning("median") == Pruning(rule="median")
    assert arguments.parse_pruning("racing:level=0.01,test=wilcoxon") == Pruning(
        rule="racing", level=0.01, test="wilcoxon"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (":keep=1", "names no pruning rule; write for example asha:"),
        ("asha:max_steps=3", "known: keep"),
        ("asha:grace_period=1.5", "whole number"),
        ("racing:test=1", "a name"),
    ],
)
def test_a_pruning_rule_that_cannot_be_read_says_why(text: str, problem: str) -> None:
    with pytest.raises(BadArgument, match=problem):
        arguments.parse_pruning(text)
