"""Replaying: a search's points derived once more, from its seeds and its event log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from services.coordinator.ports import SearcherFailed, SearchTask, TrialReader
from services.coordinator.service.progress import (
    FORGETFUL,
    RunProgress,
    earlier_runs,
    ended,
    runs_of,
)
from services.core.digest import assignment_digest
from services.core.event import TrialFinished
from services.core.run import Orchestration, TuningRun
from services.core.searcher import Searcher
from services.core.space import Assignment
from services.core.trial import Trial, TrialState

MakeSearcher: TypeAlias = Callable[[SearchTask], Searcher]
"""Makes the searcher of a task. Raises: SearcherFailed."""

_End: TypeAlias = tuple[int, TrialFinished]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A trial whose point came out otherwise; `derived` is None where none was suggested."""

    number: int
    stored: Assignment
    derived: Assignment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReplay:
    """What came of one tuning run.

    Attributes:
        trials: how many were derived again.
        fell_back_at: number of the first trial by the method the run fell back to; None when it did not.
    """

    run: TuningRun
    trials: int
    differences: tuple[Difference, ...]
    fell_back_at: int | None


class _Knowledge:
    """The trials as a searcher knew them, brought forward event by event.

    Args:
        trials: of the same model run in earlier stages, by number.
        finished: by number, the events trials ended with and their sequences.
    """

    def __init__(
        self, trials: Sequence[Trial], finished: Mapping[int, _End], *, metric: str
    ) -> None:
        self._metric = metric
        self._ends = sorted(finished.values(), key=lambda end: end[0])
        self._seen = 0
        self.known: list[Trial] = []
        self._places: dict[int, int] = {}
        for each in trials:
            self.add(each)

    def add(self, trial: Trial) -> None:
        """Takes note of a trial that was created."""
        self._places[trial.number] = len(self.known)
        pending = replace(trial, state=TrialState.QUEUED, score=None, failure=None, metrics=())
        self.known.append(pending)

    def learn(self, sequence: int) -> None:
        """Takes note of the ends up to an event."""
        while self._seen < len(self._ends) and self._ends[self._seen][0] <= sequence:
            finished = self._ends[self._seen][1]
            self._seen += 1
            place = self._places.get(finished.number)
            if place is not None:
                self.known[place] = ended(self.known[place], finished, metric=self._metric)


async def replay(
    reader: TrialReader, orchestration_id: str, make_searcher: MakeSearcher
) -> list[RunReplay]:
    """Derives the parameters of every trial again and compares them with those that ran.

    Each trial says which event its suggestion had seen last, and the log says which trials had ended
    by then, with what score. A search that still runs is replayed as far as it has come.

    Returns: one for each tuning run that has begun, in the order of the plan.
    Raises: CursorOutOfRange: the log is kept no more. NotFound, Unavailable.
    """
    orchestration = await reader.get_orchestration(orchestration_id)
    finished = await _finished(reader, orchestration)
    trials = {
        run.tuning_run_id: await reader.list_trials(run.tuning_run_id)
        for run in runs_of(orchestration)
    }
    return [
        replay_run(
            orchestration,
            run,
            earlier=[
                trial
                for each in earlier_runs(orchestration, run)
                for trial in trials[each.tuning_run_id]
            ],
            trials=trials[run.tuning_run_id],
            finished=finished,
            make_searcher=make_searcher,
        )
        for run in runs_of(orchestration)
        if trials[run.tuning_run_id]
    ]


async def _finished(reader: TrialReader, orchestration: Orchestration) -> dict[int, _End]:
    found: dict[int, _End] = {}
    if orchestration.last_sequence == 0:
        return found
    async for events in reader.watch(orchestration.orchestration_id, after_sequence=0):
        for event in events:
            if isinstance(event.payload, TrialFinished):
                found[event.payload.number] = (event.sequence, event.payload)
        if events and events[-1].sequence >= orchestration.last_sequence:
            break
    return found


def replay_run(
    orchestration: Orchestration,
    run: TuningRun,
    *,
    earlier: Sequence[Trial],
    trials: Sequence[Trial],
    finished: Mapping[int, _End],
    make_searcher: MakeSearcher,
) -> RunReplay:
    """Derives the trials of one tuning run again.

    Args:
        earlier: trials of the same model run in earlier stages.
        trials: those of the run.
        finished: by number, the events trials ended with and their sequences.
    """
    task = RunProgress(orchestration=orchestration, run=run, known=()).task
    spare = run.method_used or run.method
    asking = _Asking(replace(task, method=run.method), make_searcher)
    knowledge = _Knowledge(
        sorted(earlier, key=lambda trial: trial.number), finished, metric=run.metrics[0]
    )
    differences: list[Difference] = []
    fell_back_at: int | None = None
    for trial in sorted(trials, key=lambda each: each.suggestion_index):
        knowledge.learn(trial.suggested_at_sequence)
        derived = asking.point(trial.suggestion_index, knowledge.known)
        if not _same(derived, trial) and asking.task.method != spare:
            # From some point on the method could not go on: what it failed at may be over by now.
            asking, fell_back_at = _Asking(replace(task, method=spare), make_searcher), trial.number
            derived = asking.point(trial.suggestion_index, knowledge.known)
        if not _same(derived, trial):
            differences.append(
                Difference(number=trial.number, stored=trial.parameters, derived=derived)
            )
        if run.method not in FORGETFUL:
            # What ran is what later suggestions saw, whatever was derived here.
            knowledge.add(trial)
    return RunReplay(
        run=run, trials=len(trials), differences=tuple(differences), fell_back_at=fell_back_at
    )


class _Asking:
    """One method's searcher."""

    def __init__(self, task: SearchTask, make_searcher: MakeSearcher) -> None:
        self.task = task
        self._searcher: Searcher | None = None
        # What cannot begin to search derives nothing.
        with contextlib.suppress(SearcherFailed):
            self._searcher = make_searcher(task)

    def point(self, index: int, known: Sequence[Trial]) -> Assignment | None:
        """The point of one suggestion; None where there is none."""
        if self._searcher is None:
            return None
        try:
            asked = self._searcher.ask(count=1, first_index=index, known=known)
        except SearcherFailed:
            return None
        return asked[0].parameters if asked else None


def _same(derived: Assignment | None, trial: Trial) -> bool:
    return derived is not None and assignment_digest(derived) == assignment_digest(trial.parameters)
