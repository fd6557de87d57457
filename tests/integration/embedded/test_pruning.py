"""Pruned searches through all services: fewer fits, and where that was promised the same winners."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sklearn.datasets import load_wine
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from crescendo.client.library import Crescendo
from crescendo.client.model import Orchestration, Pruning, Refinement, SpaceParameter, Trial
from tests.integration.embedded.conftest import embedded

GRID = {"C": [0.001, 0.1, 1, 10, 100], "gamma": [0.000001, 0.0001, 0.01, 1]}
POINTS = 20
RATES: dict[str, list[float]] = {
    "learning_rate": [0.0001, 0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 1.0],
    "n_estimators": [8],
}


def ended(client: Crescendo, started: Orchestration) -> tuple[Orchestration, list[Trial]]:
    """Waits for a search's end. Returns: it, and its trials."""
    for _ in client.watch(started.orchestration_id):
        pass
    return client.status(started.orchestration_id), list(client.trials(started.orchestration_id))


def ranges(made: Refinement) -> list[tuple[str, SpaceParameter, SpaceParameter, str]]:
    return [(each.name, each.before, each.after, each.rule) for each in made.parameters]


def fits(trials: list[Trial]) -> int:
    return sum(len(each.metrics[0].split_scores) for each in trials)


def assert_stopped_between(
    whole: Orchestration, trials: list[Trial], *, kind: str, steps: set[int]
) -> None:
    """Some trials were stopped between steps, with the reason and without any score; the best was not."""
    stopped = [each for each in trials if each.state == "pruned"]
    assert whole.counts.pruned == len(stopped) > 0
    for each in stopped:
        assert each.score is None
        assert not each.metrics
        assert each.prune_decision is not None
        assert (each.prune_decision.rule, each.prune_decision.step_kind) == ("asha", kind)
        assert each.prune_decision.step in steps
        assert each.prune_decision.value < each.prune_decision.cut_off
    scores = [each.score for each in trials if each.state == "succeeded" and each.score is not None]
    assert len(scores) + len(stopped) == len(trials)
    assert whole.best is not None
    assert whole.best.score == max(scores)


def test_a_lossless_search_has_the_results_of_the_exhaustive_one_and_a_halved_one_says_what_it_stopped(
    reachable: Path,
) -> None:
    x, y = load_wine(return_X_y=True)
    reference = GridSearchCV(SVC(random_state=42), GRID, cv=5, refit=False).fit(x, y)
    with embedded(reachable) as running:
        client = Crescendo(running.addresses.coordinator, running.addresses.store)
        with client:
            model = client.create_model_run("sklearn:wine", "svm_classifier")
            started = client.tune(
                model.model_run_id, GRID, method="grid_search", cv_folds=5, pruning="lossless"
            )
            alone, trials = ended(client, started)
            searches = [
                client.start_progressive_search(
                    model.model_run_id,
                    GRID,
                    cv_folds=5,
                    n_iter_random=6,
                    n_iter_bayesian=1,
                    pruning=rule,
                )
                for rule in (None, "lossless")
            ]
            (_, whole), (pruned, parts) = (ended(client, each) for each in searches)
            refined = [client.refinements(each.orchestration_id) for each in searches]
            asha = Pruning(rule="asha", reduction_factor=2, grace_period=1)
            started = client.tune(
                model.model_run_id, GRID, method="grid_search", cv_folds=5, pruning=asha
            )
            halved, judged = ended(client, started)
            sizes = replace(asha, step_kind="training_size", min_training_fraction=0.2)
            started = client.tune(
                model.model_run_id, GRID, method="grid_search", cv_folds=5, pruning=sizes
            )
            sized = ended(client, started)
            boosted = client.create_model_run("sklearn:wine", "gradient_boosting_classifier")
            started = client.tune(
                boosted.model_run_id,
                RATES,
                method="grid_search",
                cv_folds=3,
                pruning=replace(asha, step_kind="boosting_round"),
            )
            rounds = ended(client, started)

    # The lone grid.
    assert alone.best is not None
    winner = next(each for each in trials if each.number == alone.best.trial_number)
    assert winner.candidate_index == reference.best_index_
    assert winner.score == reference.best_score_
    stopped = [each for each in trials if each.state == "pruned"]
    assert stopped
    assert all(each.score is None and each.prune_decision is not None for each in stopped)
    assert alone.counts.pruned == len(stopped)
    assert alone.stages[0].tuning_runs[0].fits_saved == 5 * POINTS - fits(trials)

    # Rungs after one, two and four folds: each pruned trial was told at one of them, and the best stands
    # on all its folds.
    stopped = [each for each in judged if each.state == "pruned"]
    assert halved.counts.pruned == len(stopped) > 0
    for each in stopped:
        assert each.score is None
        assert each.prune_decision is not None
        assert (each.prune_decision.rule, each.prune_decision.step_kind) == ("asha", "fold")
        assert each.prune_decision.step in (1, 2, 4)
        # One that waited a second for the answer, on a busy machine, has gone on for a fold.
        assert len(each.metrics[0].split_scores) >= each.prune_decision.step
        assert each.prune_decision.value < each.prune_decision.cut_off
    # Short as they are, they stop where they were told to.
    assert any(
        len(each.metrics[0].split_scores) == each.prune_decision.step
        for each in stopped
        if each.prune_decision is not None
    )
    whole_ones = [each for each in judged if each.state == "succeeded"]
    assert len(whole_ones) + len(stopped) == POINTS
    assert halved.best is not None
    assert halved.best.score == max(each.score for each in whole_ones if each.score is not None)
    assert halved.stages[0].tuning_runs[0].fits_saved == 5 * POINTS - fits(judged)

    # Rungs of training size: what was not stopped has the scores of the exhaustive search.
    assert_stopped_between(*sized, kind="training_size", steps={1, 2, 3})
    means = reference.cv_results_["mean_test_score"]
    for each in sized[1]:
        if each.state == "succeeded":
            assert each.candidate_index is not None
            assert each.score == means[each.candidate_index]

    # Boosting rounds: so has what was not stopped here, though all its folds went on together.
    assert_stopped_between(*rounds, kind="boosting_round", steps={1, 2, 4})
    plain = GridSearchCV(GradientBoostingClassifier(random_state=42), RATES, cv=3, refit=False)
    means = plain.fit(x, y).cv_results_["mean_test_score"]
    for each in rounds[1]:
        if each.state == "succeeded":
            assert each.candidate_index is not None
            assert each.score == means[each.candidate_index]

    # The stages: what a refinement rests on is what it rests on without pruning.
    assert fits(parts) < fits(whole)
    assert pruned.state == "completed"
    # Numbers differ, for a pruned grid is tried in another order.
    assert [ranges(each) for each in refined[1]] == [ranges(each) for each in refined[0]]
