"""Logs never show the password of a URL."""

from __future__ import annotations

import pytest

from services.common.telemetry import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("cannot reach amqp://guest:gu:est@host/ now", "cannot reach amqp://guest:***@host/ now"),
        ("no secret here: http://host:80/path", "no secret here: http://host:80/path"),
    ],
)
def test_a_password_in_a_url_is_replaced(text: str, shown: str) -> None:
    assert redact(text) == shown
