"""The Parzen estimator's densities against their definition, and its points against Optuna's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import optuna
import pytest
from scipy.stats import ks_2samp, norm, truncnorm

from services.coordinator.adapters.searchers.axes import Axis, Category, Lattice, Unit
from services.coordinator.adapters.searchers.mixture import Frame, Mixture
from services.coordinator.adapters.searchers.parzen import ParzenEstimator
from services.core.encoding import FloatArray
from services.core.space import Choices, FloatRange, IntRange, Parameter, SearchSpace
from services.core.trial import Trial, TrialState

_SPACE = SearchSpace.of(
    [
        Parameter(name="rate", domain=FloatRange(low=1e-4, high=1.0, log=True)),
        Parameter(name="depth", domain=IntRange(low=1, high=30)),
        Parameter(name="kind", domain=Choices(values=("a", "b", "c"))),
    ]
)


def _rows(axes: Sequence[Axis], count: int, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    columns = []
    for axis in axes:
        match axis:
            case Category(size=size):
                columns.append(rng.integers(0, size, count).astype(float))
            case Lattice(low=low, high=high):
                columns.append(rng.integers(low, high + 1, count).astype(float))
            case _:
                columns.append(rng.random(count))
    return np.column_stack(columns)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
def test_the_mass_of_all_cells_and_categories_is_one(count: int) -> None:
    axes: list[Axis] = [Lattice(1, 9, log=True), Category(3), Lattice(-4, 6)]
    everywhere = np.array([*product(range(1, 10), range(3), range(-4, 7))], dtype=float)

    density = Mixture(Frame(axes), _rows(axes, count)).log_density(everywhere)

    assert np.exp(density).sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
def test_a_density_over_numbers_integrates_to_one(count: int) -> None:
    axes = [Unit(), Unit()]
    middles = (np.arange(200) + 0.5) / 200

    density = Mixture(Frame(axes), _rows(axes, count)).log_density(
        np.array([*product(middles, middles)])
    )

    assert np.exp(density).mean() == pytest.approx(1.0, abs=2e-3)


def test_a_density_is_the_weighted_sum_of_truncated_normals_and_odds() -> None:
    rows = np.array([[0.2, 0.0], [0.5, 1.0], [0.9, 1.0]])
    # The farther neighbour, but no bound; no narrower than a fifth; the wide product last.
    widths = [0.3, 0.4, 0.4, 1.0]
    odds = [[1.25, 0.25], [0.25, 1.25], [0.25, 1.25], [0.25, 0.25]]

    def expected(number: float, category: int) -> float:
        return sum(
            float(
                truncnorm.pdf(
                    number, -centre / width, (1 - centre) / width, loc=centre, scale=width
                )
            )
            * own[category]
            / sum(own)
            / 4
            for centre, width, own in zip([0.2, 0.5, 0.9, 0.5], widths, odds, strict=True)
        )

    asked = np.array([[0.1, 0.0], [0.6, 1.0], [1.0, 0.0]])
    density = Mixture(Frame([Unit(), Category(2)]), rows).log_density(asked)

    assert np.exp(density) == pytest.approx([expected(a, int(b)) for a, b in asked], rel=1e-12)


def test_cells_of_a_logarithmic_lattice_are_as_wide_as_on_their_scale() -> None:
    density = Mixture(Frame([Lattice(1, 100, log=True)]), np.array([[10.0]]))
    low, high = math.log(0.5), math.log(100.5)
    width = max(math.log(10) - low, high - math.log(10))
    begin, end = math.log(19.5), math.log(20.5)

    def mass(centre: float, width: float) -> float:
        of = norm(centre, width)
        return float((of.cdf(end) - of.cdf(begin)) / (of.cdf(high) - of.cdf(low)))

    assert np.exp(density.log_density(np.array([[20.0]])))[0] == pytest.approx(
        0.5 * mass(math.log(10), width) + 0.5 * mass((low + high) / 2, high - low), rel=1e-12
    )


def test_the_latest_rows_outweigh_the_oldest() -> None:
    rows = np.repeat([[0.0], [1.0]], 50, axis=0)

    at_old, at_new = Mixture(Frame([Category(2)]), rows).log_density(np.array([[0.0], [1.0]]))

    assert at_new > at_old


def test_rows_are_drawn_as_the_density_says() -> None:
    axes: list[Axis] = [Lattice(0, 5), Category(2)]
    mixture = Mixture(Frame(axes), _rows(axes, 6))
    cells = np.array([*product(range(6), range(2))], dtype=float)

    drawn = mixture.draw(np.random.default_rng(1), 40_000)

    shares = [(drawn == each).all(axis=1).mean() for each in cells]
    assert shares == pytest.approx(np.exp(mixture.log_density(cells)), abs=0.01)


def test_numbers_are_drawn_as_the_density_says_and_within_their_bounds() -> None:
    mixture = Mixture(Frame([Unit()]), np.array([[0.0], [0.05], [0.1]]))
    middles = (np.arange(1_000) + 0.5) / 1_000

    drawn = np.sort(mixture.draw(np.random.default_rng(1), 40_000)[:, 0])

    below = np.cumsum(np.exp(mixture.log_density(middles[:, None]))) / 1_000
    assert drawn[0] >= 0.0
    assert drawn[-1] <= 1.0
    assert np.searchsorted(drawn, middles) / 40_000 == pytest.approx(below, abs=0.015)


def _trials(count: int, *, state: TrialState = TrialState.SUCCEEDED) -> list[Trial]:
    """Trials at random points; the best are near rate 0.01, depth 20 and kind b."""
    rng = np.random.default_rng(3)
    return [
        _trial(
            number,
            10.0 ** rng.uniform(-4, 0),
            int(rng.integers(1, 31)),
            "abc"[rng.integers(3)],
            state=state,
        )
        for number in range(count)
    ]


def _trial(
    number: int, rate: float, depth: int, kind: str, *, state: TrialState = TrialState.SUCCEEDED
) -> Trial:
    distance = abs(math.log10(rate) + 2) + abs(depth - 20) / 10 + (kind != "b")
    return Trial(
        orchestration_id="",
        number=number,
        tuning_run_id="",
        stage_index=0,
        state=state,
        attempt=0,
        parameters={"rate": rate, "depth": depth, "kind": kind},
        candidate_index=None,
        phase="",
        suggestion_index=number,
        suggested_at_sequence=0,
        score=-distance if state is TrialState.SUCCEEDED else None,
    )


def _draws(estimator: ParzenEstimator, count: int) -> dict[str, list[object]]:
    points = [estimator.draw(seed) for seed in range(count)]
    return {name: [point[name] for point in points] for name in _SPACE.names}


@pytest.mark.parametrize("count", [10, 60, pytest.param(200, marks=pytest.mark.slow)])
def test_points_are_distributed_as_those_of_optuna(count: int) -> None:
    trials = _trials(count)
    ours = _draws(ParzenEstimator(_SPACE, trials), 150)
    theirs = _of_optuna(trials, 150)

    for name in ("rate", "depth"):
        # Seeds are fixed: it either holds or not.
        assert ks_2samp(ours[name], theirs[name]).pvalue > 0.001
    for kind in "abc":
        assert abs(ours["kind"].count(kind) - theirs["kind"].count(kind)) < 30


def _of_optuna(trials: Sequence[Trial], count: int) -> dict[str, list[object]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        "rate": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
        "depth": optuna.distributions.IntDistribution(1, 30),
        "kind": optuna.distributions.CategoricalDistribution("abc"),
    }
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.create_trial(
                params=dict(each.parameters), distributions=distributions, value=each.score
            )
            for each in trials
        ]
    )
    found: dict[str, list[object]] = {name: [] for name in distributions}
    for seed in range(count):
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=0, multivariate=True, constant_liar=True, seed=seed
        )
        asked = study.ask(distributions)
        for name, value in asked.params.items():
            found[name].append(value)
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
    return found


def test_points_lie_where_the_best_trials_do() -> None:
    drawn = _draws(ParzenEstimator(_SPACE, _trials(200)), 60)

    assert 1e-3 < float(np.median(np.array(drawn["rate"], dtype=float))) < 1e-1
    assert 14 < float(np.median(np.array(drawn["depth"], dtype=float))) < 26
    assert drawn["kind"].count("b") > 40


def test_the_same_trials_and_seed_give_the_same_point() -> None:
    trials = _trials(40)

    assert _draws(ParzenEstimator(_SPACE, trials), 5) == _draws(
        ParzenEstimator(_SPACE, [replace(each) for each in trials]), 5
    )


def test_points_pretended_at_once_count_as_those_pending() -> None:
    trials = _trials(40)
    points = [each.parameters for each in _trials(46)[40:]]
    pending = [replace(each, state=TrialState.QUEUED, score=None) for each in _trials(46)[40:]]
    pretending = ParzenEstimator(_SPACE, trials)
    pretending.pretend(points[:2])
    pretending.draw(1)
    pretending.pretend(points)

    assert _draws(pretending, 5) == _draws(ParzenEstimator(_SPACE, [*trials, *pending]), 5)


def test_pending_points_are_kept_away_from() -> None:
    estimator = ParzenEstimator(_SPACE, _trials(60))

    def near() -> int:
        return sum(17 <= depth <= 23 for depth in _draws(estimator, 60)["depth"])  # type: ignore[operator]  # ints

    alone = near()
    estimator.pretend([{"rate": 0.01, "depth": 20, "kind": "b"}] * 60)

    assert near() < alone / 2


def test_pruned_trials_are_worse_than_any_that_ran_to_its_end() -> None:
    # All of kind b were pruned: nothing good is known there.
    trials = [
        replace(each, state=TrialState.PRUNED, score=None)
        if each.parameters["kind"] == "b"
        else each
        for each in _trials(90)
    ]

    assert _draws(ParzenEstimator(_SPACE, trials), 60)["kind"].count("b") < 20
