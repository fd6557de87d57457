"""Trials: one assignment, evaluated once; and the order in which trials are better than one another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from services.core.intervals import IntervalMethod, SplitFacts
from services.core.pruning import PruneDecision
from services.core.space import Assignment

# What a message may take where it is quoted: it is in that of tuning run, stage and orchestration.
MAX_SHORT_MESSAGE = 300
_TRACEBACK = "Traceback (most recent call last)"


class TrialState(Enum):
    """QUEUED → RUNNING → one of the terminal four."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PRUNED = "pruned"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether a trial in this state never changes again."""
        return self not in (TrialState.QUEUED, TrialState.RUNNING)


class FailureKind(Enum):
    """Why a trial failed."""

    EXCEPTION = "exception"
    INVALID_PARAMETERS = "invalid_parameters"
    NON_FINITE = "non_finite"
    RESULT_TOO_LARGE = "result_too_large"
    TIMEOUT = "timeout"
    OOM = "oom"
    CRASH = "crash"
    LOST = "lost"
    INFRA = "infra"
    POISON = "poison"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong; `message` at most 4 KiB."""

    kind: FailureKind
    message: str


def in_short(message: str) -> str:
    """Gives a failure's message as it fits into another: its beginning; of a traceback, its last line."""
    if message.startswith(_TRACEBACK):
        message = message.rstrip().rpartition("\n")[2]
    if len(message) <= MAX_SHORT_MESSAGE:
        return message
    return message[: MAX_SHORT_MESSAGE - 1] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitScores:
    """One metric's scores in split order, bit for bit what the scorer returned.

    `train_scores` are those on the rows each split was fitted on; empty unless they were asked for.
    """

    metric: str
    scores: tuple[float, ...]
    train_scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialKey:
    """One attempt at one trial of one orchestration."""

    orchestration_id: str
    number: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """The end of one attempt, as a worker reports it; `prune_decision` says why it was PRUNED."""

    trial: TrialKey
    state: TrialState
    metrics: tuple[SplitScores, ...] = ()
    failure: Failure | None = None
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    duration_seconds: float = 0.0
    prune_decision: PruneDecision | None = None
    splits: tuple[SplitFacts, ...] = ()
    interval_method: IntervalMethod = IntervalMethod.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrial:
    """A suggestion that is to become a trial; `copied_from` as in Suggestion."""

    parameters: Assignment
    candidate_index: int | None
    phase: str
    suggestion_index: int
    suggested_at_sequence: int
    copied_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One assignment and what came of it. `score` is set iff SUCCEEDED: a part of it is no score.

    `copied_from` is the number of the trial whose result it has, when it was not run itself.
    """

    orchestration_id: str
    number: int
    tuning_run_id: str
    stage_index: int
    state: TrialState
    attempt: int
    parameters: Assignment
    candidate_index: int | None
    phase: str
    suggestion_index: int
    suggested_at_sequence: int
    score: float | None = None
    metrics: tuple[SplitScores, ...] = ()
    failure: Failure | None = None
    worker: str = ""
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    prune_decision: PruneDecision | None = None
    splits: tuple[SplitFacts, ...] = ()
    interval_method: IntervalMethod = IntervalMethod.NONE
    copied_from: int | None = None


RankKey: TypeAlias = tuple[float, int, float, int]


def rank_key(trial: Trial) -> RankKey:
    """Returns a sort key: better trials come first.

    Higher score; ties go to the lower stage, then the lower `candidate_index` (none last), then the
    lower number. Trials without a score come last, by number.
    """
    score = -math.inf if trial.score is None else trial.score
    candidate = math.inf if trial.candidate_index is None else trial.candidate_index
    return (-score, trial.stage_index, candidate, trial.number)


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Returns the SUCCEEDED trials, best first."""
    return sorted((each for each in trials if each.state is TrialState.SUCCEEDED), key=rank_key)


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Returns the best SUCCEEDED trial; None when none succeeded."""
    succeeded = (each for each in trials if each.state is TrialState.SUCCEEDED)
    return min(succeeded, key=rank_key, default=None)
