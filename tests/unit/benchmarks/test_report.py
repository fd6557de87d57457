"""The page of figures: what a run writes and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.repeats import in_turn
from benchmarks.report import write
from benchmarks.rows import Row, failed, from_json, to_json


def row(name: str, **fields: Any) -> Row:
    given: dict[str, Any] = {
        "work": "w",
        "goal": "≥ 2×",
        "ours": 3.0,
        "unit": "trials/s",
        "met": True,
        **fields,
    }
    return Row(name=name, **given)


def page(folder: Path) -> Path:
    found = folder / "performance.md"
    found.write_text(
        "Before.\n<!-- benchmarks: begin -->\nold\n<!-- benchmarks: end -->\nAfter.\n", "utf-8"
    )
    return found


def test_rows_are_written_between_the_markers_and_text_around_them_stays(tmp_path: Path) -> None:
    there = page(tmp_path)
    write({"P4": [row("P4")]}, measured="today", machine="A machine.", page=there)
    text = there.read_text("utf-8")
    assert text.startswith("Before.\n<!-- benchmarks: begin -->\n\n| row |")
    assert "| P4 | w | ≥ 2× | 3 trials/s | – | – | yes |  | today |\n" in text
    assert text.endswith("A machine.\n\n<!-- benchmarks: end -->\nAfter.\n")
    assert "old" not in text


def test_a_benchmark_that_did_not_run_keeps_its_lines_and_its_place(tmp_path: Path) -> None:
    there = page(tmp_path)
    write(
        {"P1": [row("P1"), row("P1 tpe")], "P4": [row("P4")]},
        measured="yesterday",
        machine="",
        page=there,
    )
    write(
        {"P2": [row("P2a")], "P4": [row("P4", ours=4.0)]}, measured="today", machine="", page=there
    )
    lines = [each for each in there.read_text("utf-8").splitlines() if each.startswith("| P")]
    assert [each.split(" | ")[0] for each in lines] == ["| P1", "| P1 tpe", "| P2a", "| P4"]
    assert [each.split(" | ")[-1] for each in lines] == [
        "yesterday |",
        "yesterday |",
        "today |",
        "today |",
    ]


def test_a_benchmark_that_failed_is_said_in_one_line(tmp_path: Path) -> None:
    there = page(tmp_path)
    rows = {"P1": [failed("P1", "overhead", "ended with 1:\nno | space")]}
    text = write(rows, measured="today", machine="", page=there)
    assert (
        "| P1 | overhead |  | – | – | – | – | failed: ended with 1: no \\| space | today |" in text
    )


def test_rows_survive_the_way_between_processes() -> None:
    rows = [row("P1", peer=1.5, ratio=2.0), failed("P2", "fits", "no")]
    assert from_json(to_json(rows)) == rows


def test_contenders_take_turns_and_every_other_round_goes_backwards() -> None:
    calls: list[str] = []

    def contender(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    found = in_turn(
        {"ours": lambda: contender("ours"), "peer": lambda: contender("peer")},
        repeats=3,
        warm_up={"peer": lambda: contender("warm")},
    )
    assert calls == ["warm", "ours", "peer", "peer", "ours", "ours", "peer"]
    assert found["ours"].values == (2.0, 5.0, 6.0)
    assert found["peer"].median == 4.0
