"""The quality benchmark: its problems, and what it makes of outcomes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.quality.methods import METHODS
from benchmarks.quality.problems import HELD_OUT, PROBLEMS, TUNING
from benchmarks.quality.report import complete_seeds, table
from benchmarks.quality.running import Outcome, outcomes
from services.core.grid import grid_size

SVC = PROBLEMS[0].name


def _outcome(method: str, seed: int, score: float, *, problem: str = SVC) -> Outcome:
    return Outcome(
        problem=problem,
        method=method,
        seed=seed,
        fits=60,
        cv_score=score,
        test_score=score - 0.1,
        seconds=1.0,
    )


def _all(scores: dict[str, float], *, seeds: int, problem: str = SVC) -> list[Outcome]:
    return [
        _outcome(method, seed, scores.get(method, 0.5) + seed / 1000, problem=problem)
        for method in METHODS
        for seed in range(seeds)
    ]


def test_half_of_the_problems_are_held_out_and_every_grid_is_small() -> None:
    halves = [each.half for each in PROBLEMS]
    assert len(PROBLEMS) >= 8
    assert halves.count(TUNING) == halves.count(HELD_OUT)
    assert all(grid_size(each.space) <= 16 for each in PROBLEMS)
    assert len({each.name for each in PROBLEMS}) == len(PROBLEMS)


def test_a_line_that_was_cut_off_is_run_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    whole = _outcome("random", 0, 0.9)
    path.write_text(json.dumps(asdict(whole)) + "\n" + json.dumps(asdict(whole))[:20], "utf-8")
    assert outcomes(path) == [whole]
    assert outcomes(tmp_path / "none.jsonl") == []


def test_only_seeds_that_every_method_has_run_are_compared() -> None:
    found = [*_all({}, seeds=2), _outcome("random", 2, 0.9)]
    assert [*complete_seeds(found, SVC)] == [0, 1]
    assert table(found[:1]) == "Nothing has been measured by every method yet."


def test_the_table_has_medians_ranks_and_says_when_seeds_are_too_few() -> None:
    text = table(_all({"bayesian": 0.9, "random": 0.3}, seeds=3))
    assert "| 3 |" in text
    assert "**0.9010**<br>0.8010" in text
    ranks = next(line for line in text.splitlines() if line.startswith("| mean rank"))
    cells = [cell.strip() for cell in ranks.split("|")[4:-1]]
    assert dict(zip(METHODS, cells, strict=True)) == {
        "progressive": "3.50",
        "bayesian": "1.00",
        "tpe": "3.50",
        "random": "6.00",
        "Optuna TPE": "3.50",
        "scikit-optimize GP": "3.50",
    }
    assert "Too few seeds (3) for a paired test" in text


def test_a_method_that_loses_to_random_search_is_named() -> None:
    lost = table(_all({"random": 0.9}, seeds=12))
    assert f"favours random search on {SVC}" in lost
    assert "on 0 of 1 problems" in lost
    won = table(_all({"progressive": 0.9}, seeds=12))
    assert "On no problem does a paired Wilcoxon test" in won
    assert "on 1 of 1 problems" in won
