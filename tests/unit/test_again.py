"""Which failed tests are run once more."""

from __future__ import annotations

import pytest

from tests.again import refusal

RUNNING = "tests/e2e/test_a.py::test_b[1]"


def test_a_few_tests_of_running_processes_are_run_again() -> None:
    assert refusal(1, [RUNNING] * 3) is None


@pytest.mark.parametrize(
    ("status", "failed", "reason"),
    [
        pytest.param(1, [RUNNING] * 4, "4 tests failed", id="many"),
        pytest.param(1, [RUNNING, "tests/unit/test_a.py::test_b"], "shares nothing", id="unit"),
        pytest.param(1, [], "did not get to its end", id="none named"),
        pytest.param(2, [RUNNING], "did not get to its end", id="interrupted"),
        pytest.param(3, [RUNNING], "did not get to its end", id="internal error"),
    ],
)
def test_other_failures_stand(status: int, failed: list[str], reason: str) -> None:
    refused = refusal(status, failed)
    assert refused is not None
    assert reason in refused
