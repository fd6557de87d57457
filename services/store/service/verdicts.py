"""What a result or a lost attempt means for its trial: pure decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from services.core.intervals import SplitFacts
from services.core.limits import MAX_RESULT_BYTES
from services.core.statistics import mean_score
from services.core.trial import Failure, FailureKind, SplitScores, TrialResult, TrialState
from services.store.ports.records import TrialEnd, TrialRecord, TrialRequeue

MAX_FAILURE_BYTES = 4 * 1024
# No trial runs for a year: a worker that says so says nothing.
_LONGEST_SECONDS = 366 * 86_400.0
# So much of scores that were not due is told.
_SHOWN_METRICS = 10
_SHOWN_NAME = 60

# How often a trial is tried again after its worker was lost.
LOST_RETRIES = 5
_MAX_DELAY_SECONDS = 300.0
# How long a trial is tried again that workers cannot run: a dataset that cannot be fetched, a full disk.
TROUBLE_SECONDS = 3600.0
# A worker's child that died or ran out of memory is tried once more, alone.
_CRASH_RETRIES = 1
_OOM_RETRIES = 1
# What only the store can know: a worker that says so is wrong about the kind.
_STORES_OWN = (FailureKind.LOST, FailureKind.POISON)


def judged(result: TrialResult, *, metrics: Sequence[str], cv_folds: int) -> TrialEnd:
    """Gives the end a result comes to: its state, score and clipped failure.

    A success whose objective is not finite is FAILED(NON_FINITE); one with other scores than were due
    is FAILED(EXCEPTION) without them, for its worker computed something else; a result that is too
    large is FAILED(RESULT_TOO_LARGE) without its scores.

    Args:
        metrics: names of the metrics that are due, the objective first.
        cv_folds: on how many splits each.
    """
    state, scores, failure = result.state, result.metrics, _clipped(result.failure)
    score: float | None = None
    size = sum(_size(each) for each in scores)
    if size > MAX_RESULT_BYTES:
        state, scores = TrialState.FAILED, ()
        failure = Failure(
            kind=FailureKind.RESULT_TOO_LARGE,
            message=f"the result takes {size} bytes, the limit is {MAX_RESULT_BYTES}",
        )
    elif state is TrialState.SUCCEEDED:
        failure = _misfit(scores, metrics, cv_folds)
        score = _score(scores)
        if failure is not None:
            state, scores, score = TrialState.FAILED, (), None
        elif score is None:
            state = TrialState.FAILED
            failure = Failure(kind=FailureKind.NON_FINITE, message=_non_finite_message(scores))
    elif state is TrialState.FAILED and failure is None:
        failure = Failure(kind=FailureKind.EXCEPTION, message="the worker gave no reason")
    elif state is TrialState.PRUNED:
        failure = None
    elif failure is not None and failure.kind in _STORES_OWN:
        failure = Failure(kind=FailureKind.EXCEPTION, message=failure.message)
    if not _is_part(scores, metrics, cv_folds):
        scores = ()
    scores = _with_due_train_scores(scores)
    splits = _splits(result.splits, scores)
    return TrialEnd(
        number=result.trial.number,
        state=state,
        finished_attempt=result.trial.attempt,
        score=score,
        metrics=scores,
        failure=failure,
        fit_seconds=_seconds(result.fit_seconds),
        score_seconds=_seconds(result.score_seconds),
        duration_seconds=_seconds(result.duration_seconds),
        splits=splits,
        interval_method=result.interval_method,
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


def after_trouble(trial: TrialRecord, now: datetime, random: Random) -> TrialRequeue | None:
    """Gives how a trial goes on whose worker could not run it; None when that has lasted too long.

    No strike, for it is not the trial's fault: it is tried again within an hour of the first trouble,
    after exponentially growing delays with full jitter.
    """
    since = trial.infra_since or now
    if (now - since).total_seconds() >= TROUBLE_SECONDS:
        return None
    limit = min(_MAX_DELAY_SECONDS, 2.0 ** min(trial.infra_failures + 1, 30))
    return replace(
        _requeue(trial, not_before=now + timedelta(seconds=random.uniform(0, limit))),
        infra_failures=trial.infra_failures + 1,
        infra_since=since,
    )


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
        infra_failures=trial.infra_failures,
        infra_since=trial.infra_since,
        crash_worker=crash_worker or trial.crash_worker,
        not_before=not_before,
    )


def _score(metrics: tuple[SplitScores, ...]) -> float | None:
    if not metrics or not metrics[0].scores:
        return None
    # NaN and infinity of a single split carry over to the mean.
    score = mean_score(metrics[0].scores)
    return score if math.isfinite(score) else None


def _size(scores: SplitScores) -> int:
    return len(scores.metric.encode()) + 8 * (len(scores.scores) + len(scores.train_scores)) + 16


def _with_due_train_scores(scores: tuple[SplitScores, ...]) -> tuple[SplitScores, ...]:
    """Leaves out train scores, which nothing rests on, unless there is one per split of each metric."""
    if all(len(each.train_scores) == len(each.scores) for each in scores):
        return scores
    return tuple(replace(each, train_scores=()) for each in scores)


def _non_finite_message(metrics: tuple[SplitScores, ...]) -> str:
    bad = [
        f"split {split}: {score}"
        for split, score in enumerate(metrics[0].scores)
        if not math.isfinite(score)
    ]
    listed = ", ".join(bad[:10]) or "their mean overflows"
    return f"the objective {metrics[0].metric} is not finite ({listed})"


def _splits(splits: Sequence[SplitFacts], scores: Sequence[SplitScores]) -> tuple[SplitFacts, ...]:
    """Gives what the scored splits took; nothing where a worker tells of others, or what cannot be."""
    if len(splits) != max((len(each.scores) for each in scores), default=0):
        return ()
    if any(each.train_rows < 1 or each.test_rows < 1 for each in splits):
        return ()
    if any(each.best_rounds is not None and each.best_rounds < 1 for each in splits):
        return ()
    return tuple(
        replace(
            each,
            fit_seconds=_seconds(each.fit_seconds),
            score_seconds=_seconds(each.score_seconds),
        )
        for each in splits
    )


def _misfit(scores: Sequence[SplitScores], metrics: Sequence[str], cv_folds: int) -> Failure | None:
    """Says what is wrong with a success that has other scores than were due; None when it has those."""
    came = [(each.metric, len(each.scores)) for each in scores]
    due = [(each, cv_folds) for each in metrics]
    if came == due:
        return None
    return Failure(
        kind=FailureKind.EXCEPTION,
        message=f"the worker reported a success with {_listed(came)}, where {_listed(due)} were due",
    )


def _is_part(scores: Sequence[SplitScores], metrics: Sequence[str], cv_folds: int) -> bool:
    """Whether scores are of what was due, if not all of it: what is known of a trial without success."""
    names = [each.metric for each in scores]
    return names == list(metrics[: len(names)]) and all(
        len(each.scores) <= cv_folds for each in scores
    )


def _listed(scores: Sequence[tuple[str, int]]) -> str:
    if not scores:
        return "no scores"
    # Names come as they like: what cannot be shown is escaped.
    shown = [f"{count} of {name[:_SHOWN_NAME]!r}" for name, count in scores[:_SHOWN_METRICS]]
    more = len(scores) - len(shown)
    return "split scores " + ", ".join(shown) + (f" and {more} more" if more else "")


def _seconds(value: float) -> float:
    return value if math.isfinite(value) and 0 < value <= _LONGEST_SECONDS else 0.0


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
