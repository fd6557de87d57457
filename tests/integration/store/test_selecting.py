"""The best model follows the rule of the search, and the best by score is still shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.core.selection import ONE_STANDARD_ERROR, Preference, Selection, Simpler
from services.store.service import selecting
from tests.integration.store.scenario import Scenario, success

LOWER_C = Selection(
    rule=ONE_STANDARD_ERROR, simpler=(Simpler(parameter="C", prefer=Preference.LOWER),)
)
# Within one standard error of the third are all but the first: 0.8 - 0.1.
SCORES = ((0.5, 0.7), (0.75, 0.7), (0.9, 0.7), (0.75, 0.7))


async def test_the_simplest_within_one_standard_error_is_the_best_model(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Candidates come in several pages.
    monkeypatch.setattr(selecting, "_PAGE", 1)
    identifier = await _finished(scenario, LOWER_C)
    model = await scenario.cases.runs.best_model(identifier, best_so_far=True)
    assert (model.best.trial_number, model.best.score, model.best.parameters) == (
        1,
        0.725,
        {"C": 1.0},
    )
    assert model.trial.number == 1
    assert [each.best for each in model.ranking] == [model.best]
    made = model.selection
    assert made is not None
    assert made == model.ranking[0].selection
    assert (made.best_by_score.trial_number, made.best_by_score.score) == (2, 0.8)
    assert made.selected.candidates == 3
    assert made.selected.threshold == pytest.approx(0.7)
    assert made.selected.reason.startswith("trial 1 is the simplest (lower C) of 3 within one")
    shown = await scenario.cases.runs.orchestration(identifier)
    assert shown.selection == LOWER_C
    assert shown.best is not None
    assert shown.best.trial_number == 2


async def test_without_a_rule_the_best_by_score_is_the_best_model(scenario: Scenario) -> None:
    identifier = await _finished(scenario, Selection())
    model = await scenario.cases.runs.best_model(identifier, best_so_far=True)
    assert (model.best.trial_number, model.selection) == (2, None)
    assert model.ranking[0].selection is None


async def _finished(scenario: Scenario, selection: Selection) -> str:
    """A tuning run whose trials have ended, with C = 0, 1, 2 and 3."""
    plan = replace(await scenario.plan(planned=4), selection=selection)
    orchestration, _, _ = await scenario.started(count=4, plan=plan)
    identifier = orchestration.orchestration_id
    results = [success(identifier, number, *scores) for number, scores in enumerate(SCORES)]
    await scenario.finish(*results)
    return identifier


async def test_models_are_ranked_by_what_was_selected_of_each(scenario: Scenario) -> None:
    plan = replace(await scenario.plan(stages=(2,), planned=2), selection=LOWER_C)
    orchestration = await scenario.start(plan)
    identifier = orchestration.orchestration_id
    session = await scenario.session(slots=4)
    # The first model has the best trial, and one nearly as good with a lower C.
    scores = ((0.8, 0.7), (0.9, 0.7), (0.5, 0.5), (0.77, 0.77))
    for place, run in enumerate(orchestration.stages[0].tuning_runs):
        await scenario.lease(run.tuning_run_id)
        await scenario.queue(run.tuning_run_id, 2)
        numbers = (2 * place, 2 * place + 1)
        await scenario.claim(session, run, numbers)
        await scenario.finish(*(success(identifier, each, *scores[each]) for each in numbers))
    model = await scenario.cases.runs.best_model(identifier, best_so_far=True)
    chosen = [each.best for each in model.ranking if each.best is not None]
    assert [(each.trial_number, each.score) for each in chosen] == [(3, 0.77), (0, 0.75)]
    assert (model.best, model.trial.number) == (chosen[0], 3)
    assert model.selection is not None
    assert model.selection.selected.reason.startswith("trial 3 is the best, and no other is within")
    second = model.ranking[1].selection
    assert second is not None
    assert (second.best_by_score.trial_number, second.best_by_score.score) == (1, 0.8)
