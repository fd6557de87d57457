"""What every searcher promises, whatever its method: one class, run on each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.ports import SearchTask
from services.core.counting import cardinality
from services.core.digest import assignment_digest
from services.core.hull import hull_space
from services.core.modelling import UNSET
from services.core.neighbourhood_box import box_around
from services.core.plan import METHODS, MODEL_BASED_METHODS
from services.core.searcher import Suggestion
from services.core.space import (
    Assignment,
    Choices,
    Condition,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Ordered,
    Parameter,
    SearchSpace,
    SumToOne,
    contains,
)
from services.core.start_points import StartPoints
from services.core.trial import Trial, TrialState
from tests.unit.coordinator.searching import (
    MIXED,
    NARROWED,
    SMALL_GRID,
    search,
    task,
    trial,
)

FIXED = SearchSpace.of([Parameter(name="C", domain=Fixed(value=1.0))])
# Finite whatever a method makes of it, with every kind of lattice: 2 x 3 x 2 points.
FINITE = SearchSpace.of(
    [
        Parameter(name="kernel", domain=Choices(values=("rbf", "linear"))),
        Parameter(name="depth", domain=IntRange(low=2, high=8, step=6), specials=(None,)),
        Parameter(name="share", domain=FloatRange(low=0.25, high=0.75, step=0.5)),
    ]
)
LISTS = SearchSpace.of(
    [
        Parameter(name="layers", domain=Grid(values=((50,), (100, 50), (20, 20, 20)))),
        Parameter(name="kernel", domain=Grid(values=("rbf", "linear"))),
    ]
)
FINITE_POINT: Assignment = {"kernel": "rbf", "depth": 8, "share": 0.25}
START = StartPoints(
    baseline={"C": 1.0, "max_depth": 12, "kernel": "rbf"},
    points_to_try=(
        {"C": 2.0, "max_depth": None, "kernel": "poly"},
        {"C": 1.0, "max_depth": 13, "kernel": "rbf"},
    ),
)
# A stage that searches C and what goes with it, of a plan that others of more parameters have begun.
HELD = SearchSpace.of(
    [
        Parameter(name="C", domain=FloatRange(low=1.0, high=10.0, log=True)),
        Parameter(name="kernel", domain=Choices(values=("rbf", "linear"))),
        Parameter(name="max_depth", domain=Fixed(value=12)),
    ]
)
HELD_ASKED = SearchSpace.of(
    [*(each for each in MIXED.parameters if each.name != "max_depth"), HELD.parameters[2]]
)
SEEN = SearchSpace.of(
    [
        *(each for each in MIXED.parameters if each.name != "kernel"),
        Parameter(name="kernel", domain=Choices(values=("rbf", "linear", "poly", UNSET))),
        Parameter(name="tol", domain=FloatRange(low=0.0, high=1.0), specials=(UNSET,)),
    ]
)
# Trials of the stages before: with other values of what is held, more parameters, and fewer.
BEFORE = [
    *(
        trial(number, {"C": 1.5 + number, "max_depth": 5 + number, "kernel": "rbf"}, 0.1 * number)
        for number in range(6)
    ),
    trial(6, {"C": 2.0, "max_depth": None, "tol": 0.5}, 0.3),
    trial(7, {"C": 3.0, "max_depth": 12, "kernel": "poly"}, 0.65),
]
AROUND = box_around(MIXED, START.baseline or {}, 0.3)
# Conditions in a chain and on two parents, and numbers bound to one another.
BOUND = SearchSpace.of(
    [
        Parameter(name="kernel", domain=Choices(values=("linear", "rbf", "poly"))),
        Parameter(
            name="degree",
            domain=IntRange(low=2, high=5),
            conditions=(Condition(parent="kernel", values=("poly",)),),
        ),
        Parameter(
            name="coef0",
            domain=FloatRange(low=0.0, high=1.0),
            conditions=(
                Condition(parent="degree", values=(3, 4)),
                Condition(parent="level", values=("high",)),
            ),
        ),
        Parameter(
            name="gamma",
            domain=FloatRange(low=0.001, high=1.0, log=True),
            specials=("scale",),
            conditions=(Condition(parent="kernel", values=("rbf", "poly")),),
        ),
        Parameter(name="level", domain=Choices(values=("high", "low"))),
        Parameter(name="first", domain=FloatRange(low=0.0, high=0.7)),
        Parameter(name="second", domain=FloatRange(low=0.1, high=1.0)),
        Parameter(name="low", domain=IntRange(low=1, high=9)),
        Parameter(name="high", domain=FloatRange(low=2.0, high=8.0)),
    ],
    [SumToOne(names=("first", "second")), Ordered(names=("low", "high"))],
)
BOUND_POINT: Assignment = {
    "kernel": "poly",
    "degree": 3,
    "coef0": 0.5,
    "level": "high",
    "gamma": 0.1,
    "first": 0.4,
    "second": 0.6,
    "low": 3,
    "high": 5.0,
}
# 1 + 2 without and with a degree, by three pairs in order.
FINITE_BOUND = SearchSpace.of(
    [
        Parameter(name="kernel", domain=Choices(values=("linear", "poly"))),
        Parameter(
            name="degree",
            domain=IntRange(low=2, high=3),
            conditions=(Condition(parent="kernel", values=("poly",)),),
        ),
        Parameter(name="low", domain=IntRange(low=1, high=2)),
        Parameter(name="top", domain=IntRange(low=1, high=2)),
    ],
    [Ordered(names=("low", "top"))],
)

# Grids of a list: 2 + 4 points, none in both.
GRIDS = SearchSpace.of_alternatives(
    [
        SearchSpace.of(
            [
                Parameter(name="kernel", domain=Grid(values=("linear",))),
                Parameter(name="degree", domain=Grid(values=(2, 3))),
            ]
        ),
        SearchSpace.of(
            [
                Parameter(name="kernel", domain=Grid(values=("rbf", "poly"))),
                Parameter(name="C", domain=Grid(values=(1, 2))),
            ]
        ),
    ]
)


@dataclass(frozen=True)
class Subject:
    """A task, how many points its space has for its method (None when infinite), and earlier trials."""

    task: SearchTask
    points: int | None
    before: tuple[Trial, ...] = ()

    @property
    def bounds(self) -> SearchSpace:
        """Where its points may lie."""
        return hull_space(self.task.original_space) if self.between else self.task.space

    @property
    def between(self) -> bool:
        """Whether it may go between the values of lists, or outside a refined space."""
        return self.task.refined or self.task.method in MODEL_BASED_METHODS


def _subjects() -> dict[str, Subject]:
    found = {}
    for method in ("random_search", "sobol", *MODEL_BASED_METHODS):
        infinite = method in MODEL_BASED_METHODS
        for name, subject in {
            "ranges": Subject(task(method, MIXED), None),
            "refined": Subject(task(method, NARROWED, original=MIXED), None),
            "grid": Subject(task(method, SMALL_GRID), None if infinite else 18),
            "finite": Subject(task(method, FINITE), cardinality(FINITE)),
            "lists": Subject(task(method, LISTS), cardinality(LISTS)),
            "bound": Subject(task(method, BOUND), None),
            "finite and bound": Subject(task(method, FINITE_BOUND), 9),
            "grids": Subject(task(method, GRIDS), 6),
            "held": Subject(
                replace(task(method, HELD, original=HELD_ASKED), modelling_space=SEEN),
                None,
                tuple(BEFORE),
            ),
        }.items():
            # Its fits are dear, and all but they is what `tpe` has too: six spaces say enough.
            if method != "bayesian_skopt" or name in (
                "ranges",
                "refined",
                "finite",
                "bound",
                "grids",
                "held",
            ):
                found[f"{method}, {name}"] = subject
    for method in ("random_search", "sobol", *MODEL_BASED_METHODS):
        found[f"{method}, points given"] = Subject(replace(task(method, MIXED), start=START), None)
    found["local"] = Subject(replace(task("local", AROUND), start=START), None)
    found["local, finite"] = Subject(
        replace(task("local", FINITE), start=StartPoints(baseline=FINITE_POINT)),
        cardinality(FINITE),
    )
    found["local, bound"] = Subject(
        replace(
            task("local", box_around(BOUND, BOUND_POINT, 0.4)),
            start=StartPoints(baseline=BOUND_POINT),
        ),
        None,
    )
    found["grid_search"] = Subject(task("grid_search", SMALL_GRID), 18)
    found["grid_search, bound"] = Subject(task("grid_search", FINITE_BOUND), 9)
    found["grid_search, grids"] = Subject(task("grid_search", GRIDS), 6)
    found["cross_validation"] = Subject(task("cross_validation", FIXED), 1)
    return found


def _score(point: Assignment) -> float | None:
    # Every seventh point or so fails, by its digest: the same in every run.
    digest = int(assignment_digest(point), 16)
    return None if digest % 7 == 0 else (digest % 1000) / 1000


@pytest.mark.parametrize("subject", _subjects().values(), ids=_subjects().keys())
class TestSearcherContract:
    """The promises of `core.searcher.Searcher`."""

    def test_no_point_comes_twice_while_others_remain_and_all_lie_in_the_space(
        self, subject: Subject
    ) -> None:
        whole = _searched(subject, _score, trials=16, together=3)
        points = [each.parameters for each, _ in whole]
        assert len({assignment_digest(each) for each in points}) == len(points)
        assert all(contains(subject.bounds, each) for each in points)
        assert len(points) == min(16, subject.points or 16)

    def test_a_finite_space_is_used_up_exactly(self, subject: Subject) -> None:
        if subject.points is None:
            assert len(_searched(subject, _score, trials=20, together=5)) == 20
            return
        whole = _searched(subject, _score, trials=subject.points + 5, together=5)
        assert len({assignment_digest(each.parameters) for each, _ in whole}) == subject.points
        assert len(whole) == subject.points

    def test_a_replay_makes_the_points_of_the_uninterrupted_search(self, subject: Subject) -> None:
        whole = _searched(subject, _score, trials=11)
        for cut in (1, 6, 9):
            known = [*subject.before, *(ended for _, ended in whole[:cut])]
            again = make_searcher(subject.task).ask(count=1, first_index=cut, known=known)
            assert list(again) == [each for each, _ in whole[cut : cut + 1]]

    def test_asking_in_other_portions_makes_the_same_points(self, subject: Subject) -> None:
        known = [*subject.before, *(ended for _, ended in _searched(subject, _score, trials=7))]
        together = list(
            make_searcher(subject.task).ask(
                count=4, first_index=len(known) - len(subject.before), known=known
            )
        )
        assert _in_portions(subject, known, [1, 1, 1, 1])[: len(together)] == together
        assert _in_portions(subject, known, [3, 1])[: len(together)] == together

    def test_a_searcher_that_lives_on_answers_as_a_new_one(self, subject: Subject) -> None:
        old = make_searcher(subject.task)
        known = list(subject.before)
        for _ in range(9):
            asked = old.ask(count=1, first_index=len(known) - len(subject.before), known=known)
            assert asked == make_searcher(subject.task).ask(
                count=1, first_index=len(known) - len(subject.before), known=known
            )
            if not asked:
                break
            point = asked[0].parameters
            score = _score(point)
            state = TrialState.FAILED if score is None else TrialState.SUCCEEDED
            known.append(trial(len(known), point, score, state=state))

    def test_pending_points_are_not_proposed_again(self, subject: Subject) -> None:
        known = [*subject.before, *(ended for _, ended in _searched(subject, _score, trials=6))]
        first = make_searcher(subject.task).ask(
            count=3, first_index=len(known) - len(subject.before), known=known
        )
        known += [trial(len(known) + n, each.parameters) for n, each in enumerate(first)]
        then = make_searcher(subject.task).ask(
            count=3, first_index=len(known) - len(subject.before), known=known
        )
        digests = [assignment_digest(each.parameters) for each in [*first, *then]]
        assert len(set(digests)) == len(digests)

    def test_trials_that_brought_no_score_do_no_harm(self, subject: Subject) -> None:
        whole = _searched(subject, lambda _: None, trials=8)
        assert len({assignment_digest(each.parameters) for each, _ in whole}) == len(whole)
        known = [*subject.before]
        known += [
            replace(ended, state=state)
            for (_, ended), state in zip(
                whole,
                [TrialState.FAILED, TrialState.PRUNED, TrialState.CANCELLED] * 3,
                strict=False,
            )
        ]
        asked = make_searcher(subject.task).ask(
            count=2, first_index=len(known) - len(subject.before), known=known
        )
        tried = {assignment_digest(each.parameters) for each in known}
        assert not tried & {assignment_digest(each.parameters) for each in asked}

    def test_trials_of_another_space_do_not_disturb(self, subject: Subject) -> None:
        known = [*subject.before, *(ended for _, ended in _searched(subject, _score, trials=6))]
        stranger = trial(len(known), {"other": 1}, 0.9)
        asked = make_searcher(subject.task).ask(
            count=1, first_index=len(known) - len(subject.before), known=[*known, stranger]
        )
        assert all(contains(subject.bounds, each.parameters) for each in asked)

    def test_asking_for_nothing_gives_nothing(self, subject: Subject) -> None:
        assert not make_searcher(subject.task).ask(count=0, first_index=0, known=[])


def _searched(
    subject: Subject,
    objective: Callable[[Assignment], float | None],
    *,
    trials: int,
    together: int = 1,
) -> list[tuple[Suggestion, Trial]]:
    return search(subject.task, objective, trials=trials, together=together, before=subject.before)


def _in_portions(subject: Subject, known: list[Trial], portions: list[int]) -> list[Suggestion]:
    found: list[Suggestion] = []
    so_far = list(known)
    for count in portions:
        index = len(so_far) - len(subject.before)
        asked = make_searcher(subject.task).ask(count=count, first_index=index, known=so_far)
        found += asked
        so_far += [trial(len(so_far) + n, each.parameters) for n, each in enumerate(asked)]
    return found


def test_every_method_is_held_to_the_contract() -> None:
    tested = {each.task.method for each in _subjects().values()}
    assert tested == set(METHODS)
