"""Rules that guess, applied where all trials are known: what is judged, what is stored, what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from services.core.event import FoldScored, TrialRequeued
from services.core.intervals import SplitFacts
from services.core.pruning import PruneDecision
from services.core.pruning_settings import ASHA, MEDIAN, RACING, Pruning, StepKind
from services.core.trial import FailureKind, SplitScores, TrialKey, TrialResult, TrialState
from services.store.ports.results import FinishOutcome, OrderKind, Reported, StepReport
from tests.integration.store.scenario import Scenario, success, trial_key
from tests.integration.store.test_pruning import read

DONE, DUPLICATE, FENCED = FinishOutcome.DONE, FinishOutcome.DUPLICATE, FinishOutcome.FENCED
FOLDS = 6
ASHA_OF_TWO = Pruning(rule=ASHA, reduction_factor=2, grace_period=2, max_steps=FOLDS)


class Search:
    """One tuning run of six folds under a rule, whose trials one session has claimed."""

    def __init__(self, scenario: Scenario, identifier: str, session: str) -> None:
        self.scenario = scenario
        self.identifier = identifier
        self.session = session

    def key(self, number: int, attempt: int = 0) -> TrialKey:
        return trial_key(self.identifier, number, attempt)

    def steps(self, number: int, *values: float, first: int = 1) -> list[StepReport]:
        return [
            StepReport(trial=self.key(number), step=step, value=value)
            for step, value in enumerate(values, first)
        ]

    async def report(self, steps: Sequence[StepReport]) -> Reported:
        return await self.scenario.cases.steps.report(self.session, steps)

    async def stops(self, number: int, *values: float, first: int = 1) -> PruneDecision | None:
        """Reports steps of a trial. Returns: why it is to stop."""
        told = await self.report(self.steps(number, *values, first=first))
        assert set(told.stops) <= {self.key(number)}
        return told.stops.get(self.key(number))

    def ended(self, number: int, state: TrialState, *scores: float) -> TrialResult:
        return TrialResult(
            trial=self.key(number),
            state=state,
            metrics=(SplitScores(metric="accuracy", scores=scores),),
            duration_seconds=0.01,
        )

    async def counts(self) -> tuple[int, int, int]:
        """Gives trials pruned and succeeded, and fits saved."""
        (stage,) = (await self.scenario.cases.runs.orchestration(self.identifier)).stages
        (run,) = stage.tuning_runs
        return run.counts.pruned, run.counts.succeeded, run.fits_saved


async def searching(scenario: Scenario, pruning: Pruning, *, count: int = 4) -> Search:
    plan = await scenario.plan(planned=8, combinations=8)
    (stage,) = plan.stages
    (run,) = stage.tuning_runs
    evaluation = replace(run.evaluation, cv_folds=FOLDS)
    run = replace(run, pruning=pruning, evaluation=evaluation)
    stage = replace(stage, tuning_runs=(run,))
    orchestration, _, session = await scenario.started(
        count=count, plan=replace(plan, stages=(stage,), cv_folds=FOLDS)
    )
    return Search(scenario, orchestration.orchestration_id, session)


async def test_a_rung_lets_the_better_half_go_on_and_the_others_end_pruned_with_the_reason(
    scenario: Scenario,
) -> None:
    search = await searching(scenario, ASHA_OF_TWO)
    assert await search.stops(0, 0.5, 0.7) is None
    assert await search.stops(1, 0.8, 0.8) is None
    # The mean of its folds is below the better half of three, which is one.
    stop = await search.stops(2, 0.5, 0.5)
    assert stop == PruneDecision(stop=True, rule=ASHA, step=2, value=0.5, cut_off=0.8, peers=2)
    # It may have gone on before it heard of it.
    told = search.ended(2, TrialState.PRUNED, 0.5, 0.5, 0.99)
    assert await scenario.finish(told) == [DONE]
    assert await scenario.finish(told) == [DUPLICATE]
    trial = await read(scenario, search.identifier, 2)
    assert (trial.state, trial.score, trial.prune_decision) == (TrialState.PRUNED, None, stop)
    assert trial.metrics[0].scores == (0.5, 0.5, 0.99)
    assert await search.counts() == (1, 0, FOLDS - 3)
    # The rung remembers those it stopped.
    assert await search.stops(3, 0.55, 0.55) is not None
    await scenario.check(search.identifier)


async def test_a_step_is_judged_once_whatever_is_repeated(scenario: Scenario) -> None:
    search = await searching(scenario, ASHA_OF_TWO)
    report = search.steps(0, 0.5, 0.7)
    assert (await search.report([*report, *report])).stops == {}
    first = await search.report(search.steps(1, 0.4, 0.4))
    # The repeated fold is not in the mean twice.
    assert {key: each.cut_off for key, each in first.stops.items()} == {search.key(1): 0.6}
    assert await search.stops(2, 0.1, 0.1) is not None
    assert await search.stops(3, 0.1, 0.1) is not None
    # Beside what has come since it would go on; it was told to stop.
    assert await search.report(search.steps(1, 0.4, 0.4)) == first
    assert (await search.report(search.steps(1, 0.9, first=3))).stops == first.stops
    assert (await search.report([*report, *report])).stops == {}


async def test_a_fold_after_a_gap_is_not_judged_until_the_gap_is_told(scenario: Scenario) -> None:
    search = await searching(scenario, ASHA_OF_TWO)
    assert await search.stops(0, 0.9, 0.9) is None
    assert await search.stops(1, 0.1, first=2) is None
    # Out of order in one message is no gap.
    told = await search.report(list(reversed(search.steps(1, 0.1, 0.1))))
    assert set(told.stops) == {search.key(1)}


async def test_steps_that_are_none_are_left_out(scenario: Scenario) -> None:
    search = await searching(scenario, ASHA_OF_TWO)
    await search.stops(0, 0.9, 0.9)
    key = search.key(1)
    other = partial(StepReport, trial=key, value=0.0)
    for each in (
        StepReport(trial=key, step=1, value=float("nan")),
        other(step=0),
        other(step=-(2**31)),
        other(step=2**31 - 1),
        other(step=2, kind=StepKind.BOOSTING_ROUND),
    ):
        assert (await search.report([each])).stops == {}
    # Beyond the last, with all before it known.
    assert await search.stops(0, *[0.9] * (FOLDS + 2)) is None


async def test_a_trial_nobody_stopped_is_tried_again(scenario: Scenario) -> None:
    search = await searching(scenario, ASHA_OF_TWO)
    await search.stops(0, 0.9, 0.9)
    told = replace(
        search.ended(0, TrialState.PRUNED, 0.9, 0.9),
        prune_decision=PruneDecision(stop=True, rule=ASHA, step=2, value=0.9, cut_off=1.0),
    )
    assert await scenario.finish(told) == [DONE]
    trial = await read(scenario, search.identifier, 0)
    assert (trial.state, trial.attempt) == (TrialState.QUEUED, 1)
    causes = [
        each.cause
        for _, each in await scenario.events(search.identifier)
        if isinstance(each, TrialRequeued)
    ]
    assert causes == [FailureKind.INFRA]


async def test_a_trial_that_was_to_stop_and_ran_to_its_end_counts(scenario: Scenario) -> None:
    search = await searching(scenario, ASHA_OF_TWO)
    await search.stops(0, 0.5, 0.5)
    assert await search.stops(1, 0.4, 0.4) is not None
    # Its worker had no answer before the last fold.
    result = success(search.identifier, 1, 0.4, 0.4, 0.9, 0.9, 0.9, 0.9)
    assert await scenario.finish(result) == [DONE]
    assert await search.counts() == (0, 1, 0)


async def test_folds_that_were_told_with_the_end_alone_are_compared_too(scenario: Scenario) -> None:
    search = await searching(scenario, ASHA_OF_TWO)
    await scenario.finish(success(search.identifier, 0, *[0.9] * FOLDS))
    assert await search.stops(1, 0.5, 0.5) is not None


async def test_an_attempt_that_was_lost_does_not_decide_about_the_next(scenario: Scenario) -> None:
    search = await searching(scenario, ASHA_OF_TWO)
    run = (await scenario.cases.runs.orchestration(search.identifier)).stages[0].tuning_runs[0]
    await search.stops(0, 0.5, 0.5)
    assert await search.stops(1, 0.4, 0.4) is not None
    await scenario.cases.requeueing.handed_back(search.session, [search.key(1)])
    late = await search.report(search.steps(1, 0.4, 0.4, 0.4))
    assert [(each.kind, each.trial) for each in late.orders] == [(OrderKind.CANCEL, search.key(1))]
    assert late.stops == {}
    claimed = await scenario.claim(search.session, run, [1], attempt=1)
    assert len(claimed.trials) == 1
    again = [replace(each, trial=search.key(1, 1)) for each in search.steps(1, 0.4, 0.4)]
    # A peer of itself it is not: there are two at the rung, as before.
    (stop,) = (await search.report(again)).stops.values()
    assert stop.peers == 1
    # Its first attempt's end is nobody's.
    assert await scenario.finish(search.ended(1, TrialState.PRUNED, 0.4, 0.4)) == [FENCED]


async def test_the_median_rule_stops_below_the_middle_of_the_same_folds(scenario: Scenario) -> None:
    rule = Pruning(rule=MEDIAN, startup_trials=2, warmup_steps=2, max_steps=FOLDS)
    search = await searching(scenario, rule)
    await search.report([*search.steps(0, 0.9, 0.5, 0.9), *search.steps(1, 0.8, 0.6, 0.1)])
    stop = await search.stops(2, 0.5, 0.5)
    assert stop == PruneDecision(stop=True, rule=MEDIAN, step=2, value=0.5, cut_off=0.7, peers=2)
    assert await search.stops(3, 0.2, 1.0, 0.9) is not None


async def test_a_race_is_against_the_best_complete_trial(scenario: Scenario) -> None:
    search = await searching(scenario, Pruning(rule=RACING, max_steps=FOLDS))
    low = [0.5, 0.52, 0.49, 0.51, 0.5]
    assert await search.stops(1, *low) is None
    best = success(search.identifier, 0, 0.9, 0.91, 0.9, 0.92, 0.9, 0.91)
    facts = SplitFacts(train_rows=100, test_rows=20, fit_seconds=0.0, score_seconds=0.0)
    await scenario.finish(replace(best, splits=(facts,) * FOLDS))
    stop = await search.stops(2, *low)
    assert stop is not None
    assert (stop.rule, stop.step, stop.cut_off, stop.peers) == (RACING, 5, 0.05, 1)
    assert stop.value < 0.001
    assert await search.stops(3, 0.9, 0.92, 0.91, 0.9, 0.9) is None


async def test_short_trials_are_judged_without_telling_watchers_of_their_folds(
    scenario: Scenario,
) -> None:
    search = await searching(scenario, ASHA_OF_TWO)
    await search.stops(0, 0.5, 0.5)
    await scenario.finish(success(search.identifier, 1, *[0.9] * FOLDS, seconds=0.05))
    assert await search.stops(2, 0.4, 0.4) is not None
    told = [
        each.number
        for _, each in await scenario.events(search.identifier)
        if isinstance(each, FoldScored)
    ]
    # Of the first nobody knew yet that it would be short.
    assert told == [0, 0]
    await scenario.check(search.identifier)
