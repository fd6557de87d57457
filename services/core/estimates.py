"""What a trial that was stopped early would have scored: for models only, never a score, rank or best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.core.statistics import mean_score
from services.core.trial import Trial, TrialState, best_of


def with_estimates(trials: Sequence[Trial]) -> list[Trial]:
    """Gives PRUNED trials as SUCCEEDED ones with an estimated score, for a model to learn from.

    The estimate is the incumbent's mean plus the mean difference to it over the shared splits. A mean
    over the first splits alone would say as much about those splits as about the trial. Trials without
    a split in common with the incumbent, and all where nothing succeeded, stay as they are.
    """
    incumbent = best_of(trials)
    if incumbent is None or not incumbent.metrics or incumbent.score is None:
        return list(trials)
    reference = incumbent.metrics[0].scores
    return [_estimated(each, incumbent.score, reference) for each in trials]


def _estimated(trial: Trial, mean: float, reference: Sequence[float]) -> Trial:
    scores = trial.metrics[0].scores[: len(reference)] if trial.metrics else ()
    if trial.state is not TrialState.PRUNED or not scores:
        return trial
    difference = mean_score(
        [score - other for score, other in zip(scores, reference, strict=False)]
    )
    return replace(trial, state=TrialState.SUCCEEDED, score=mean + difference)
