"""How an orchestration stands, kept up to date from a watch's snapshot and events."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from crescendo.client.events import (
    BestImproved,
    Event,
    Notice,
    OrchestrationChanged,
    OrchestrationReopened,
    RefinementMade,
    Snapshot,
    StageChanged,
    TrialFinished,
    TrialRequeued,
    TrialStarted,
    WatchItem,
)
from crescendo.client.model import ENDED, Best, Orchestration, Refinement, State

# The pace is that of the latest trials: stages differ in how long theirs take.
_PACE_TRIALS = 30
_PACE_LEAST = 3


@dataclass(slots=True, kw_only=True)
class RunProgress:
    """How one tuning run stands."""

    tuning_run_id: str
    stage_index: int
    model_type: str
    method: str
    state: State
    message: str
    total: int
    completed: int
    succeeded: int
    failed: int
    running: int
    best_score: float | None

    @property
    def open_trials(self) -> int:
        """Planned trials that have not ended; none once the run has."""
        return 0 if self.state in ENDED else max(0, self.total - self.completed)


@dataclass(slots=True, kw_only=True)
class StageProgress:
    """How one stage stands."""

    index: int
    method: str
    state: State
    message: str
    runs: list[RunProgress]
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def total(self) -> int:
        """Trials planned."""
        return sum(run.total for run in self.runs)

    @property
    def completed(self) -> int:
        """Trials that ended."""
        return sum(run.completed for run in self.runs)

    @property
    def failed(self) -> int:
        """Trials that failed."""
        return sum(run.failed for run in self.runs)

    @property
    def running(self) -> int:
        """Trials known to run; very short ones are never seen running."""
        return sum(run.running for run in self.runs)

    @property
    def best_score(self) -> float | None:
        """The best score so far."""
        return max(
            (run.best_score for run in self.runs if run.best_score is not None), default=None
        )


@dataclass(slots=True, kw_only=True)
class Progress:
    """How an orchestration stands; feed it every item of a watch, the snapshot first.

    Times are the server's, so that a watch that was away for a while counts right.
    """

    orchestration: Orchestration
    state: State
    reason: str
    message: str
    stages: list[StageProgress]
    best: Best | None
    sequence: int
    refinements: list[Refinement] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    last_failure: str = ""
    observed_at: datetime | None = None
    _started: dict[int, RunProgress] = field(default_factory=dict)
    _finishes: deque[datetime] = field(default_factory=lambda: deque(maxlen=_PACE_TRIALS))

    @classmethod
    def of(cls, snapshot: Snapshot) -> Progress:
        """Starts from a snapshot."""
        whole = snapshot.orchestration
        return cls(
            orchestration=whole,
            state=whole.state,
            reason=whole.reason,
            message=whole.message,
            stages=_stages(whole),
            best=whole.best,
            sequence=snapshot.sequence,
        )

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    @property
    def total(self) -> int:
        """Trials planned over all stages."""
        return sum(stage.total for stage in self.stages)

    @property
    def completed(self) -> int:
        """Trials that ended over all stages."""
        return sum(stage.completed for stage in self.stages)

    @property
    def running(self) -> int:
        """Trials known to run."""
        return sum(stage.running for stage in self.stages)

    @property
    def failed(self) -> int:
        """Trials that failed over all stages."""
        return sum(stage.failed for stage in self.stages)

    def remaining_seconds(self) -> float | None:
        """The time still needed as of `observed_at`, at the pace of the latest trials; None if unknown."""
        left = sum(run.open_trials for stage in self.stages for run in stage.runs)
        if self.ended or left == 0:
            return 0.0
        if len(self._finishes) < _PACE_LEAST:
            return self.orchestration.timings.remaining_seconds
        spent = (self._finishes[-1] - self._finishes[0]).total_seconds()
        return left * spent / (len(self._finishes) - 1)

    def apply(self, item: WatchItem) -> None:
        """Takes in the next item of the watch."""
        self.sequence = item.sequence
        if isinstance(item, Snapshot):
            return
        self.observed_at = item.occurred_at or self.observed_at
        match item.change:
            case OrchestrationChanged() as changed:
                self.state = changed.state
                self.reason, self.message = changed.reason, changed.message
            case OrchestrationReopened():
                self.state, self.reason, self.message = "running", "", ""
            case StageChanged() as changed:
                self._stage_changed(changed, item)
            case RefinementMade(refinement=refinement):
                self.refinements.append(refinement)
            case BestImproved(best=best):
                self.best = best
            case Notice() as notice:
                self.notices.append(notice)
            case TrialStarted() | TrialRequeued() | TrialFinished():
                self._trial_changed(item)
            case _:
                pass

    def _stage_changed(self, changed: StageChanged, event: Event) -> None:
        stage = self.stages[changed.stage_index]
        if changed.tuning_run_id:
            run = self._run(changed.tuning_run_id)
            if run is not None:
                run.state, run.message = changed.state, changed.message
                run.total = changed.planned_trials or run.total
                run.running = 0 if changed.state in ENDED else run.running
            return
        stage.state, stage.message = changed.state, changed.message
        if changed.state == "running" and stage.started_at is None:
            stage.started_at = event.occurred_at
        if changed.state in ENDED:
            stage.ended_at = event.occurred_at

    def _trial_changed(self, event: Event) -> None:
        change = event.change
        if isinstance(change, TrialStarted):
            run = self._run(change.tuning_run_id)
            if run is not None and change.number not in self._started:
                self._started[change.number] = run
                run.running += 1
        elif isinstance(change, TrialRequeued):
            run = self._started.pop(change.number, None)
            if run is not None:
                run.running = max(0, run.running - 1)
        elif isinstance(change, TrialFinished):
            self._trial_finished(change, event.occurred_at)

    def _trial_finished(self, finished: TrialFinished, when: datetime | None) -> None:
        run = self._run(finished.tuning_run_id)
        if run is None:
            return
        known = self._started.pop(finished.number, None)
        # A snapshot counts running trials without naming them: one that was never seen to start may be
        # one of those.
        unnamed = run.running - sum(each is run for each in self._started.values())
        if known is not None or unnamed > 0:
            run.running = max(0, run.running - 1)
        run.completed += 1
        run.succeeded += finished.state == "succeeded"
        run.failed += finished.state == "failed"
        if finished.failure is not None:
            self.last_failure = finished.failure.message
        if finished.score is not None and (
            run.best_score is None or finished.score > run.best_score
        ):
            run.best_score = finished.score
        ran = finished.state != "cancelled" and finished.copied_from is None
        if when is not None and ran:
            self._finishes.append(when)

    def _run(self, tuning_run_id: str) -> RunProgress | None:
        for stage in self.stages:
            for run in stage.runs:
                if run.tuning_run_id == tuning_run_id:
                    return run
        return None


def _stages(whole: Orchestration) -> list[StageProgress]:
    return [
        StageProgress(
            index=stage.index,
            method=stage.method,
            state=stage.state,
            message=stage.message,
            started_at=stage.timings.started_at,
            ended_at=stage.timings.ended_at,
            runs=[
                RunProgress(
                    tuning_run_id=run.tuning_run_id,
                    stage_index=stage.index,
                    model_type=run.model_type,
                    method=run.method,
                    state=run.state,
                    message=run.message,
                    total=run.counts.total,
                    completed=run.counts.completed,
                    succeeded=run.counts.succeeded,
                    failed=run.counts.failed,
                    running=run.counts.running,
                    best_score=run.best.score if run.best else None,
                )
                for run in stage.tuning_runs
            ],
        )
        for stage in whole.stages
    ]
