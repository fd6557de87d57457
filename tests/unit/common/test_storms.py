"""A warning that an outage repeats is said once in a while, with a count; all others always."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from services.common.storms import Storms


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _say(storms: Storms, event: str, **values: Any) -> dict[str, Any] | None:
    try:
        return dict(storms(None, "warning", {"event": event, "level": "warning", **values}))
    except structlog.DropEvent:
        return None


def test_repetitions_are_dropped_and_counted() -> None:
    clock = _Clock()
    storms = Storms(clock)
    assert _say(storms, "away", limit_seconds=10) == {"event": "away", "level": "warning"}
    for second in range(1, 10):
        clock.now = float(second)
        assert _say(storms, "away", limit_seconds=10) is None
    clock.now = 10.0
    again = _say(storms, "away", limit_seconds=10)
    assert again is not None
    assert again["repeated"] == 9
    clock.now = 20.0
    assert "repeated" not in (_say(storms, "away", limit_seconds=10) or {"repeated": 1})


@pytest.mark.parametrize("different", [{"connection": "consume"}, {"queue": "q"}, {"reason": "R"}])
def test_different_outages_do_not_hide_each_other(different: dict[str, str]) -> None:
    storms = Storms(_Clock())
    assert _say(storms, "away", limit_seconds=10) is not None
    assert _say(storms, "away", limit_seconds=10, **different) is not None


def test_the_same_outage_with_another_text_is_still_the_same() -> None:
    storms = Storms(_Clock())
    assert _say(storms, "away", limit_seconds=10, error="port 1") is not None
    assert _say(storms, "away", limit_seconds=10, error="port 2") is None


def test_lines_without_a_limit_always_come() -> None:
    storms = Storms(_Clock())
    for session in range(50):
        assert _say(storms, "session lost", session_id=str(session)) is not None
