"""What a result or a lost attempt means for its trial: pure decisions."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from random import Random

from services.core.statistics import mean_score
from services.core.trial import Failure, FailureKind, SplitScores, TrialResult, TrialState
from services.store.ports.records import TrialEnd, TrialRecord, TrialRequeue

MAX_FAILURE_BYTES = 4 * 1024
MAX_RESULT_BYTES = 64 * 1024

# How often a trial is tried again after its worker was lost.
LOST_RETRIES = 5
_MAX_DELAY_SECONDS = 300.0
# A worker's child that died or ran out of memory is tried once more, alone.
_CRASH_RETRIES = 1
_OOM_RETRIES = 1


def judged(result: TrialResult) -> TrialEnd:
    """Gives the end a result comes to: its state, score and clipped failure.

    A success whose objective is not finite is FAILED(NON_FINITE); a result that is too large is
    FAILED(RESULT_TOO_LARGE) without its scores.
    """
    state, metrics, failure = result.state, result.metrics, _clipped(result.failure)
    score: float | None = None
    size = sum(len(each.metric.encode()) + 8 * len(each.scores) + 16 for each in metrics)
    if size > MAX_RESULT_BYTES:
        state, metrics = TrialState.FAILED, ()
        failure = Failure(
            kind=FailureKind.RESULT_TOO_LARGE,
            message=f"the result takes {size} bytes, the limit is {MAX_RESULT_BYTES}",
        )
    elif state is TrialState.SUCCEEDED:
        failure = None
        score = _score(metrics)
        if score is None:
            state = TrialState.FAILED
            failure = Failure(
                kind=FailureKind.NON_FINITE,
                message=_non_finite_message(metrics),
            )
    elif state is TrialState.FAILED and failure is None:
        failure = Failure(kind=FailureKind.EXCEPTION, message="the worker gave no reason")
    return TrialEnd(
        number=result.trial.number,
        state=state,
        finished_attempt=result.trial.attempt,
        score=score,
        metrics=metrics,
        failure=failure,
        fit_seconds=_seconds(result.fit_seconds),
        score_seconds=_seconds(result.score_seconds),
        duration_seconds=_seconds(result.duration_seconds),
    )


def retried(trial: TrialRecord, kind: FailureKind) -> TrialRequeue | None:
    """Gives how a failed attempt is tried again; None when the failure is final."""
    if kind is FailureKind.CRASH and trial.crash_strikes < _CRASH_RETRIES:
        return _requeue(trial, crash=1, crash_worker=trial.worker)
    if kind is FailureKind.OOM and trial.oom_strikes < _OOM_RETRIES:
        return _requeue(trial, oom=1)
    return None


def after_loss(trial: TrialRecord, now: datetime, random: Random) -> TrialRequeue | None:
    """Gives how a trial goes on whose worker was lost; None when it was lost too often.

    The first time at once, then after exponentially growing delays with full jitter.
    """
    if trial.lost_strikes >= LOST_RETRIES:
        return None
    not_before = None
    if trial.lost_strikes > 0:
        limit = min(_MAX_DELAY_SECONDS, 2.0**trial.lost_strikes)
        not_before = now + timedelta(seconds=random.uniform(0, limit))
    return _requeue(trial, lost=1, not_before=not_before)


def lost_for_good(trial: TrialRecord) -> TrialEnd:
    """Gives the end of a trial that was lost too often."""
    return TrialEnd(
        number=trial.number,
        state=TrialState.FAILED,
        finished_attempt=None,
        failure=Failure(
            kind=FailureKind.LOST,
            message=f"its worker was lost {trial.lost_strikes + 1} times, the last one was"
            f" {trial.worker or 'unknown'}",
        ),
    )


def handed_back(trial: TrialRecord) -> TrialRequeue:
    """Gives how a trial goes on that its worker gave back: no strike."""
    return _requeue(trial)


def _requeue(
    trial: TrialRecord,
    *,
    lost: int = 0,
    crash: int = 0,
    oom: int = 0,
    crash_worker: str = "",
    not_before: datetime | None = None,
) -> TrialRequeue:
    return TrialRequeue(
        number=trial.number,
        attempt=trial.attempt + 1,
        lost_strikes=trial.lost_strikes + lost,
        crash_strikes=trial.crash_strikes + crash,
        oom_strikes=trial.oom_strikes + oom,
        crash_worker=crash_worker or trial.crash_worker,
        not_before=not_before,
    )


def _score(metrics: tuple[SplitScores, ...]) -> float | None:
    if not metrics or not metrics[0].scores:
        return None
    # NaN and infinity of a single split carry over to the mean.
    score = mean_score(metrics[0].scores)
    return score if math.isfinite(score) else None


def _non_finite_message(metrics: tuple[SplitScores, ...]) -> str:
    if not metrics or not metrics[0].scores:
        return "the worker reported a success without scores of the objective"
    bad = [
        f"split {split}: {score}"
        for split, score in enumerate(metrics[0].scores)
        if not math.isfinite(score)
    ]
    listed = ", ".join(bad[:10]) or "their mean overflows"
    return f"the objective {metrics[0].metric} is not finite ({listed})"


def _seconds(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0


def _clipped(failure: Failure | None) -> Failure | None:
    if failure is None:
        return None
    # Postgres keeps no NUL in text; a traceback may quote one.
    message = failure.message.replace("\x00", "\ufffd")
    encoded = message.encode("utf-8", "replace")
    if len(encoded) > MAX_FAILURE_BYTES:
        clip = encoded[: MAX_FAILURE_BYTES - 3].decode("utf-8", "ignore")
        message = clip + "…"
    return Failure(kind=failure.kind, message=message)
