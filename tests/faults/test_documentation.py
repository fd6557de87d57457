"""What the architecture says of deaths is shown by tests that exist and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (?P<part>[^|]+) \| [^|]+ \| (?P<tests>[^|]+) \|$", re.MULTILINE)
_TEST = re.compile(
    r"\[`(?P<name>test_\w+)`\]\(\.\./(?P<path>tests/(?:faults|integration/store)/test_\w+\.py)\)"
)


def _rows() -> dict[str, list[tuple[str, str]]]:
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.partition("## What happens when a part dies")[2].partition("\n## ")[0]
    rows = {
        match["part"].strip(): _TEST.findall(match["tests"]) for match in _ROW.finditer(section)
    }
    return {part: tests for part, tests in rows.items() if part not in ("part", "---")}


def test_every_part_is_in_the_table() -> None:
    words = " ".join(_rows())
    for part in (
        "worker",
        "child",
        "coordinator",
        "store",
        "RabbitMQ",
        "Postgres",
        "link",
        "watcher",
    ):
        assert part in words


@pytest.mark.parametrize(("part", "tests"), _rows().items())
def test_each_line_of_the_table_names_tests_that_exist(
    part: str, tests: list[tuple[str, str]]
) -> None:
    assert tests, f"nothing shows: {part}"
    for name, path in tests:
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), (
            name
        )
