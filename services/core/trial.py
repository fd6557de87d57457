"""Trials: one assignment, evaluated once; and the order in which trials are better than one another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from services.core.space import Assignment


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitScores:
    """One metric's scores in split order, bit for bit what the scorer returned."""

    metric: str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialKey:
    """One attempt at one trial of one orchestration."""

    orchestration_id: str
    number: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """The end of one attempt, as a worker reports it."""

    trial: TrialKey
    state: TrialState
    metrics: tuple[SplitScores, ...] = ()
    failure: Failure | None = None
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    duration_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrial:
    """A suggestion that is to become a trial."""

    parameters: Assignment
    candidate_index: int | None
    phase: str
    suggestion_index: int
    suggested_at_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One assignment and what came of it. `score` is set iff SUCCEEDED."""

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
