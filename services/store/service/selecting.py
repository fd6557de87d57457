"""Selecting the result of each model among its candidates, from what is stored of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from services.core.run import BestTrial, Orchestration, TuningRun
from services.core.selection import BEST, OneStandardError
from services.core.trial import Trial, TrialState
from services.store.ports.reading import RunReader
from services.store.ports.records import NO_CANDIDATE
from services.store.ports.results import SelectionMade, TrialFilter
from services.store.service.ranking import best_of_runs, runs_by_model

_PAGE = 500


async def selections(
    reader: RunReader, orchestration: Orchestration
) -> Mapping[str, SelectionMade]:
    """Selects by the orchestration's rule, from the candidates of each model over all stages.

    Returns: by model run; none where the best by score is the result, or a model has no success.
    """
    if orchestration.selection.rule == BEST:
        return {}
    made = {}
    for model_run_id, runs in runs_by_model(orchestration).items():
        by_score = best_of_runs(runs)
        if by_score is None:
            continue
        best = await reader.trial(orchestration.orchestration_id, by_score.trial_number)
        if best is None or best.score is None:
            continue
        rule = OneStandardError(best, orchestration.selection.simpler)
        for run in runs:
            async for page in _candidates(reader, run, rule.threshold):
                rule.offer(page)
        selected = rule.selected()
        made[model_run_id] = SelectionMade(
            rule=orchestration.selection.rule,
            selected=selected,
            best=_result(selected.trial, by_score, runs),
            best_by_score=by_score,
        )
    return made


async def _candidates(
    reader: RunReader, run: TuningRun, threshold: float
) -> AsyncIterator[Sequence[Trial]]:
    """Gives the trials of a tuning run with at least a score, page by page: there may be very many."""
    wanted = TrialFilter(
        orchestration_id=run.orchestration_id,
        tuning_run_id=run.tuning_run_id,
        states=(TrialState.SUCCEEDED,),
        min_score=threshold,
    )
    after: tuple[float, int, int, int] | None = None
    while page := await reader.trials_by_score(wanted, after=after, limit=_PAGE):
        yield page
        last = page[-1]
        if len(page) < _PAGE or last.score is None:
            return
        candidate = NO_CANDIDATE if last.candidate_index is None else last.candidate_index
        after = (last.score, last.stage_index, candidate, last.number)


def _result(trial: Trial, by_score: BestTrial, runs: Sequence[TuningRun]) -> BestTrial:
    if trial.number == by_score.trial_number or trial.score is None:
        return by_score
    methods = {each.tuning_run_id: each.method_used for each in runs}
    return replace(
        by_score,
        trial_number=trial.number,
        tuning_run_id=trial.tuning_run_id,
        method=methods[trial.tuning_run_id],
        score=trial.score,
        parameters=trial.parameters,
    )
