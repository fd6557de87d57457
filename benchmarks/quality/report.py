"""What the searches found, as a table: medians, ranks, and paired tests against random search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean, median

import numpy as np
from scipy.stats import rankdata, wilcoxon

from benchmarks.quality.methods import METHODS
from benchmarks.quality.problems import PROBLEMS
from benchmarks.quality.running import Outcome

_LEVEL = 0.05
# With fewer pairs no outcome of the test can be below the level.
_FEWEST_PAIRS = 6


def complete_seeds(outcomes: Iterable[Outcome], problem: str) -> dict[int, dict[str, Outcome]]:
    """The outcomes of one problem by seed and method, for the seeds every method has run."""
    by_seed: dict[int, dict[str, Outcome]] = {}
    for each in outcomes:
        if each.problem == problem:
            by_seed.setdefault(each.seed, {})[each.method] = each
    return {seed: found for seed, found in sorted(by_seed.items()) if len(found) == len(METHODS)}


def table(outcomes: Sequence[Outcome]) -> str:
    """Gives the report as Markdown: per problem the median CV score, below it that of the test rows."""
    names = [*METHODS]
    lines = [
        f"| problem | half | seeds | {' | '.join(names)} |",
        f"|---|---|---|{'---|' * len(names)}",
    ]
    ranks: dict[str, list[float]] = {name: [] for name in names}
    worse: list[tuple[str, float]] = []
    near, judged = 0, 0
    for problem in PROBLEMS:
        seeds = complete_seeds(outcomes, problem.name)
        if not seeds:
            continue
        judged += 1
        scores = {name: [found[name].cv_score for found in seeds.values()] for name in names}
        medians = {name: median(scores[name]) for name in names}
        tests = {name: median(found[name].test_score for found in seeds.values()) for name in names}
        best = max(medians.values())
        cells = [
            (f"**{medians[name]:.4f}**" if medians[name] == best else f"{medians[name]:.4f}")
            + f"<br>{tests[name]:.4f}"
            for name in names
        ]
        lines.append(f"| {problem.name} | {problem.half} | {len(seeds)} | {' | '.join(cells)} |")
        for found in seeds.values():
            ordered = rankdata([-found[name].cv_score for name in names])
            for name, rank in zip(names, ordered, strict=True):
                ranks[name].append(float(rank))
        near += medians["progressive"] >= best - _standard_error(scores, medians)
        worse.append((problem.name, _favours_random(scores["random"], scores["progressive"])))
    if not judged:
        return "Nothing has been measured by every method yet."
    means = " | ".join(f"{mean(ranks[name]):.2f}" for name in names)
    lines += [f"| mean rank (1 is best) | | | {means} |", ""]
    lines.append(
        f"The median of `progressive` is within one standard error of the best method's on {near} of"
        f" {judged} problems. {_said(worse, outcomes)}"
    )
    return "\n".join(lines)


def _standard_error(scores: dict[str, list[float]], medians: dict[str, float]) -> float:
    """Of the best method's scores; 0 with a single seed."""
    best = scores[max(medians, key=lambda name: medians[name])]
    return float(np.std(best, ddof=1) / np.sqrt(len(best))) if len(best) > 1 else 0.0


def _favours_random(random: Sequence[float], ours: Sequence[float]) -> float:
    """The p-value of a paired one-sided Wilcoxon test that random search is better."""
    differences = np.subtract(random, ours)
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, alternative="greater").pvalue)


def _said(worse: Sequence[tuple[str, float]], outcomes: Sequence[Outcome]) -> str:
    pairs = min(len(complete_seeds(outcomes, name)) for name, _ in worse)
    if pairs < _FEWEST_PAIRS:
        return (
            f"Too few seeds ({pairs}) for a paired test against random search, which needs"
            f" {_FEWEST_PAIRS} or more: differences here may be luck."
        )
    # Holm (1979): the smallest p-value against level / m, the next against level / (m - 1), …
    rejected = []
    for place, (name, value) in enumerate(sorted(worse, key=lambda each: each[1])):
        if value > _LEVEL / (len(worse) - place):
            break
        rejected.append(name)
    if rejected:
        return f"A paired Wilcoxon test (5 %, Holm) favours random search on {', '.join(rejected)}."
    return "On no problem does a paired Wilcoxon test (5 %, Holm) favour random search."
