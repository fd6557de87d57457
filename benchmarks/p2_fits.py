"""P2: whole grid searches of tiny, medium and long fits, beside GridSearchCV on the same cores.

Ours goes the whole way of every trial, durable and watched; two slots. The peer has its better one of one
job and two where fits are tiny; where they take long that is two. All fits are done, on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from benchmarks.grids import SEED, SLOTS, Ours, Problem, Ran, by_grid_search_cv, repeated
from benchmarks.program import Size, run
from benchmarks.repeats import in_turn
from benchmarks.rows import Row
from benchmarks.stack import running, servers

_GOAL_SHARE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One row: the problem, how often it is repeated, and what is to be reached."""

    name: str
    about: str
    problem: Problem
    repeats: int
    goal: float
    jobs: tuple[int, ...] = (2,)
    needs_ideal: bool = True


def tiny(candidates: int) -> Problem:
    """GaussianNB on breast_cancer: five fits of about a millisecond each."""
    return Problem(
        dataset="breast_cancer",
        model_type="gaussian_nb",
        estimator=GaussianNB(),
        grid={"var_smoothing": np.logspace(-12, 0, candidates).tolist()},
    )


def medium(side: int) -> Problem:
    """A support vector machine on digits: five fits of about 60 ms each."""
    return Problem(
        dataset="digits",
        model_type="svm_classifier",
        estimator=SVC(random_state=SEED),
        grid={
            "C": np.logspace(-2, 3, side).tolist(),
            "gamma": np.logspace(-5, 0, side).tolist(),
        },
    )


def long(trees: tuple[int, ...]) -> Problem:
    """A random forest on breast_cancer: five fits of a fifth of a second each."""
    return Problem(
        dataset="breast_cancer",
        model_type="random_forest_classifier",
        estimator=RandomForestClassifier(random_state=SEED),
        grid={
            "n_estimators": list(trees),
            "max_depth": [3, 6, None],
            "min_samples_leaf": [1, 2, 4],
        },
    )


_CONTESTS = {
    Size.QUICK: (
        Contest(
            name="P2a",
            about="GaussianNB, breast_cancer",
            problem=tiny(400),
            repeats=3,
            goal=0.6,
            jobs=(1, 2),
            needs_ideal=False,
        ),
        Contest(name="P2b", about="SVC, digits", problem=medium(5), repeats=3, goal=1.0),
        Contest(
            name="P2c",
            about="RandomForest, breast_cancer",
            problem=long((100,)),
            repeats=3,
            goal=1.0,
        ),
    ),
    Size.FULL: (
        Contest(
            name="P2a",
            about="GaussianNB, breast_cancer",
            problem=tiny(2_000),
            repeats=5,
            goal=0.6,
            jobs=(1, 2),
            needs_ideal=False,
        ),
        Contest(name="P2b", about="SVC, digits", problem=medium(20), repeats=3, goal=1.0),
        Contest(
            name="P2c",
            about="RandomForest, breast_cancer",
            problem=long((50, 100, 200)),
            repeats=3,
            goal=1.0,
        ),
    ),
}


def measure(size: Size) -> list[Row]:
    """Measures all three."""
    with servers() as on, running(on, slots=SLOTS) as stack:
        ours = Ours(stack)
        # Both sides start their processes and import what they need.
        ours.run(tiny(50))
        by_grid_search_cv(tiny(50), jobs=2)
        return [_row(contest, ours) for contest in _CONTESTS[size]]


def _row(contest: Contest, ours: Ours) -> Row:
    problem, rans = contest.problem, list[Ran]()
    figures = in_turn(
        {
            "ours": repeated(lambda: ours.run(problem), rans),
            **{
                f"n_jobs={jobs}": repeated(partial(by_grid_search_cv, problem, jobs=jobs), [])
                for jobs in contest.jobs
            },
        },
        repeats=contest.repeats,
    )
    mine = figures.pop("ours")
    best = min(figures, key=lambda name: figures[name].median)
    ratio = mine.median / figures[best].median
    share = median(each.ideal_share for each in rans)
    goal = f"≤ {contest.goal:.2f}×"
    met = ratio <= contest.goal
    if contest.needs_ideal:
        goal += f", ≥ {_GOAL_SHARE:.0%} of ideal"
        met = met and share >= _GOAL_SHARE
    return Row(
        name=contest.name,
        work=f"{contest.about}, {problem.size} candidates × 5 folds",
        goal=goal,
        ours=mine.median,
        peer=figures[best].median,
        peer_name=f"GridSearchCV, {best}",
        unit="s",
        ratio=ratio,
        met=met,
        note=(
            f"{problem.size / mine.median:.0f} candidates/s; fits and scores"
            f" {median(each.work_seconds for each in rans):.3g} s on {SLOTS} slots, {share:.0%} of ideal;"
            f" ours {mine.spread}; "
            + "; ".join(f"{name} {found.spread}" for name, found in figures.items())
        ),
    )


if __name__ == "__main__":
    run(measure, __doc__)
