"""Whether a trial may end because it was stopped early, and what that saved: pure decisions."""

from __future__ import annotations

from dataclasses import replace

from services.core.metrics import score_ceiling
from services.core.pruning import Place, PruneDecision, lossless
from services.core.pruning_settings import StepKind
from services.core.trial import Failure, FailureKind, TrialState
from services.store.ports.records import TrialEnd, TuningRunRecord


def checked_prune(
    end: TrialEnd, *, run: TuningRunRecord, place: Place, stop: PruneDecision | None
) -> TrialEnd:
    """Gives the end of a trial that was stopped early: PRUNED with the decision, by what is known here.

    A rule that guesses was applied here, so its decision is there. A lossless one was applied by the
    worker, by a threshold that was committed, and thresholds only rise, so it holds still. Where there
    is none, or it does not hold (the worker is wrong, or a restored database lost what it rested on),
    the trial is not lost: it failed by trouble of its worker, and is tried again.

    Args:
        end: of a PRUNED trial, with the objective's finished splits.
        place: the trial's own.
        stop: what was decided about the attempt by a rule that guesses; None for nothing.
    """
    guesses = run.pruning is not None and run.pruning.guesses
    decision = stop if guesses else _lossless(end, run, place)
    if decision is not None and _is_part(end, run, decision):
        return replace(end, prune_decision=decision)
    return replace(
        end,
        state=TrialState.FAILED,
        metrics=(),
        failure=Failure(
            kind=FailureKind.INFRA,
            message="the worker stopped the trial early, and it could still be among the best",
        ),
    )


def fits_saved(end: TrialEnd, run: TuningRunRecord) -> int:
    """Counts the fits that a trial stopped early did not need; those of rounds left out are no whole fits."""
    decision = end.prune_decision
    if decision is None:
        return 0
    if decision.step_kind is StepKind.FOLD:
        return run.cv_folds - _made(end)
    if decision.step_kind is StepKind.TRAINING_SIZE and run.pruning is not None:
        return run.cv_folds * max(0, run.pruning.max_steps - decision.step)
    return 0


def _lossless(end: TrialEnd, run: TuningRunRecord, place: Place) -> PruneDecision | None:
    ceiling = score_ceiling(run.metrics[0])
    if not 0 < _made(end) < run.cv_folds or ceiling is None:
        return None
    decision = lossless(
        end.metrics[0].scores,
        n_splits=run.cv_folds,
        ceiling=ceiling,
        threshold=run.threshold,
        place=place,
    )
    return decision if decision.stop else None


def _is_part(end: TrialEnd, run: TuningRunRecord, decision: PruneDecision) -> bool:
    """Whether the worker tells of a trial that made the steps it was stopped after, and not all."""
    return decision.step_kind is not StepKind.FOLD or decision.step <= _made(end) < run.cv_folds


def _made(end: TrialEnd) -> int:
    return len(end.metrics[0].scores) if end.metrics else 0
