"""What people type is understood, or said to be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from crescendo.cli import arguments
from crescendo.cli.arguments import BadArgument
from crescendo.client.model import Step


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
    grid = arguments.parse_grid('{"C": [1, 10], "layers": [[100, 50]]}', ["C=5", "gamma=0.1"])
    assert grid == {"C": [5], "layers": [(100, 50)], "gamma": [0.1]}


def test_a_grid_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "grid.json"
    path.write_text('{"max_depth": [5, null]}')
    assert arguments.parse_grid(str(path), []) == {"max_depth": [5, None]}


def test_grids_by_model() -> None:
    assert arguments.parse_grids('{"svm_classifier": {"C": [1]}}') == {"svm_classifier": {"C": [1]}}
    assert arguments.parse_grids(None) == {}


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
        (lambda: arguments.parse_grid(None, ["max_depth"]), "NAME=VALUE"),
        (lambda: arguments.parse_grid(None, ["=5"]), "NAME=VALUE"),
        (lambda: arguments.parse_grid(None, ["a=(1, 2"]), "not closed"),
        (lambda: arguments.parse_grid(None, ['a="x']), "not closed"),
        (lambda: arguments.parse_grid(None, ["a=1,,2"]), "empty"),
        (lambda: arguments.parse_grid(None, ["a=((1,2),3)"]), "nested too deep"),
        (lambda: arguments.parse_grid("{bad", []), "not JSON"),
        (lambda: arguments.parse_grid("/no/such/file.json", []), "cannot be read"),
        (lambda: arguments.parse_grid('{"C": 5}', []), "object of lists"),
        (lambda: arguments.parse_grids('{"svm": [1]}'), "the grid of svm"),
        (lambda: arguments.parse_step("=x"), "names no step"),
        (lambda: arguments.parse_step("x=:a=1"), "names no step"),
    ],
)
def test_mistakes_say_what_to_write(parse: object, says: str) -> None:
    assert callable(parse)
    with pytest.raises(BadArgument, match=says):
        parse()
