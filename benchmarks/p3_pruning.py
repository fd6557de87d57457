"""P3: lossless fold pruning, beside GridSearchCV, which fits every fold of every candidate.

The grid is that of P2b. The winner is the same candidate as the peer's, by its place in the grid; with
`keep` the best ten come out as they would of the exhaustive search.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import median

from benchmarks.grids import FOLDS, SLOTS, Ours, Problem, Ran, by_grid_search_cv, repeated
from benchmarks.p2_fits import medium
from benchmarks.program import Size, run
from benchmarks.repeats import Figures, in_turn
from benchmarks.rows import Row
from benchmarks.stack import running, servers
from crescendo.client.model import Pruning


@dataclass(frozen=True, slots=True)
class Plan:
    """The grid's side, and how often."""

    side: int
    repeats: int


_PLANS = {Size.QUICK: Plan(10, 1), Size.FULL: Plan(20, 3)}
_GOALS = {1: 0.36, 10: 0.55}


def measure(size: Size) -> list[Row]:
    """Measures both numbers of candidates kept."""
    plan = _PLANS[size]
    problem = medium(plan.side)
    rans: dict[int, list[Ran]] = {keep: [] for keep in _GOALS}
    theirs: list[Ran] = []
    with servers() as on, running(on, slots=SLOTS) as stack:
        ours = Ours(stack)
        ours.run(medium(2))
        by_grid_search_cv(medium(2), jobs=SLOTS)
        figures = in_turn(
            {
                "peer": repeated(lambda: by_grid_search_cv(problem, jobs=SLOTS), theirs),
                **{
                    str(keep): repeated(
                        partial(ours.run, problem, Pruning(rule="lossless", keep=keep)),
                        rans[keep],
                    )
                    for keep in _GOALS
                },
            },
            repeats=plan.repeats,
        )
    return [_row(problem, keep, figures, rans[keep], theirs) for keep in _GOALS]


def _row(
    problem: Problem, keep: int, figures: dict[str, Figures], rans: list[Ran], theirs: list[Ran]
) -> Row:
    mine, peer = figures[str(keep)], figures["peer"]
    ratio = mine.median / peer.median
    winners = {each.candidate_index for each in rans}
    same = winners == {each.candidate_index for each in theirs}
    fits = median(each.fits for each in rans)
    return Row(
        name=f"P3 keep {keep}",
        work=f"lossless pruning, SVC, digits, {problem.size} candidates × {FOLDS} folds",
        goal=f"≤ {_GOALS[keep]:.2f}×, the same winner",
        ours=mine.median,
        peer=peer.median,
        peer_name=f"GridSearchCV, n_jobs={SLOTS}",
        unit="s",
        ratio=ratio,
        met=same and ratio <= _GOALS[keep],
        note=(
            f"{'the same winner' if same else f'ANOTHER WINNER: {sorted(map(str, winners))}'};"
            f" {fits / (problem.size * FOLDS):.0%} of the fits,"
            f" {median(each.work_seconds for each in rans):.3g} s of fits and scores against"
            f" {median(each.work_seconds for each in theirs):.3g} s;"
            f" {median(each.ideal_share for each in rans):.0%} of ideal;"
            f" ours {mine.spread}; peer {peer.spread}"
        ),
    )


if __name__ == "__main__":
    run(measure, __doc__)
