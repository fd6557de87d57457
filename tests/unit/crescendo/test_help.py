"""What the command line says of itself: help, and what is wrong with how it was called."""

from __future__ import annotations

import re

import pytest

from services.core.metrics import METRICS
from services.core.model_catalog import MODEL_TYPES
from services.core.preprocessing_types import STEP_TYPES
from tests.unit.crescendo.command_line import run

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("search", "progressive"), "give a model run's id, or --dataset and --model"),
        (("search", "tune", "ID", "--param", "C"), "NAME=VALUE"),
        (("search", "tune", "ID", "--model", "svm_classifier"), "cannot be given"),
        (("search", "compare", "A", "--dataset", "sklearn:wine"), "cannot be given"),
        (("search", "tune", "--dataset", __file__, "--model", "x"), "--target"),
        (("search", "tune", "--dataset", "no.csv", "--target", "y", "--model", "x"), "no file"),
        (("trials", "ID", "--state", "done"), "not one of queued"),
        (("watch", "ID", "--after", "5"), "--json only"),
        (("no-such-command",), "No such command"),
    ],
)
def test_wrong_usage_exits_with_2(
    args: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*args) == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert says in shown


def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for args, example in (
        (("--help",), "crescendo demo"),
        (("search", "progressive", "--help"), "--param max_depth=5,10,null"),
        (("search", "compare", "--help"), "search compare --dataset sklearn:wine"),
        (("up", "--help"), "--port 0"),
        (("datasets", "upload", "--help"), "--target churned"),
    ):
        assert run(*args) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert example in shown


def test_what_the_help_shows_exists(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ""
    for args in (
        *(("search", name) for name in ("progressive", "compare", "tune", "cross-validate")),
        ("models", "create"),
        (),
    ):
        assert run(*args, "--help") == 0
        shown += capsys.readouterr().out
    models = set(re.findall(r"--model (\w+)", shown)) | set(
        re.findall(r"models create (\w+) ", shown)
    )
    assert len(models) > 3
    assert models <= set(MODEL_TYPES)
    assert set(re.findall(r"--step (\w+)", shown)) - {"STEP"} <= set(STEP_TYPES)
    assert set(re.findall(r"--metric (\w+)", shown)) - {"SCORER"} <= set(METRICS)
