"""What a conductor knows of its tuning run: counts, the trials its searcher learns from, durations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.coordinator.ports import SearchTask
from services.core.event import (
    Event,
    OrchestrationChanged,
    OrchestrationReopened,
    StageChanged,
    TrialFinished,
)
from services.core.modelling import modelling_space
from services.core.plan import (
    ADAPTIVE_METHODS,
    CROSS_VALIDATION,
    GRID_SEARCH,
    LifecycleState,
)
from services.core.refinement import with_held
from services.core.run import Orchestration, TuningRun
from services.core.searcher import Suggestion
from services.core.trial import SplitScores, Trial, TrialState

# A grid's points follow from their index: its trials need not be known, however many they are.
FORGETFUL = frozenset({GRID_SEARCH, CROSS_VALIDATION})

# How fast the mean duration follows: about the last twenty trials.
_SMOOTHING = 0.1


def runs_of(orchestration: Orchestration) -> list[TuningRun]:
    """All tuning runs in the order of the plan."""
    return [run for stage in orchestration.stages for run in stage.tuning_runs]


def find_run(orchestration: Orchestration, tuning_run_id: str) -> TuningRun | None:
    """The tuning run with this id."""
    for run in runs_of(orchestration):
        if run.tuning_run_id == tuning_run_id:
            return run
    return None


def earlier_runs(orchestration: Orchestration, run: TuningRun) -> list[TuningRun]:
    """Tuning runs of the same model run in earlier stages: what their trials showed is known."""
    return [
        each
        for each in runs_of(orchestration)
        if each.model_run_id == run.model_run_id and each.stage_index < run.stage_index
    ]


def trials_made(orchestration: Orchestration) -> int:
    """Trials created in all stages that the budget counts; none is ever taken back."""
    counts = orchestration.counts
    made = counts.queued + counts.running + counts.completed
    return made - orchestration.used.copied_trials


def trials_are_spent(orchestration: Orchestration) -> bool:
    """Whether the budget of trials is used up."""
    limit = orchestration.budget.max_trials
    return limit is not None and trials_made(orchestration) >= limit


def ended(trial: Trial, finished: TrialFinished, *, metric: str) -> Trial:
    """The trial as the event of its end leaves it for a searcher: with its objective's scores alone."""
    scores = finished.split_scores
    return replace(
        trial,
        state=finished.state,
        attempt=finished.attempt,
        score=finished.score,
        failure=finished.failure,
        metrics=(SplitScores(metric=metric, scores=scores),) if scores else (),
    )


class RunProgress:
    """The state of one tuning run as of `sequence`, kept up to date by events.

    Args:
        orchestration: a snapshot of the orchestration.
        run: the tuning run in it.
        known: trials of the plan for the same model run, by number; those that changed after their
            page was read are corrected by the events. Empty for methods that need none.
    """

    def __init__(
        self, *, orchestration: Orchestration, run: TuningRun, known: Sequence[Trial]
    ) -> None:
        counts = run.counts
        self.tuning_run_id = run.tuning_run_id
        self._metric = run.metrics[0]
        self.sequence = orchestration.last_sequence
        self.planned = counts.total
        self.max_trials = orchestration.budget.max_trials
        self.open = counts.queued + counts.running
        self.created = self.open + counts.completed
        # What the budget allows, as last heard; None for no limit, or not known yet. The store has the
        # last word: tuning runs side by side take from one budget.
        self.allowed: int | None = None
        if self.max_trials is not None:
            self.allowed = max(0, self.max_trials - trials_made(orchestration))
        self.succeeded = counts.succeeded
        self.space_is_used_up = False
        self.stopped = False
        self.mean_seconds: float | None = None
        self.max_concurrent = orchestration.max_concurrent_trials
        self.worker_class = orchestration.worker_class
        self.known: list[Trial] = sorted(known, key=lambda trial: trial.number)
        original = with_held(run.original_space, run.space)
        modelled = modelling_space(
            run.original_space,
            run.space,
            [(each.original_space, each.space) for each in earlier_runs(orchestration, run)],
        )
        self.task = SearchTask(
            tuning_run_id=run.tuning_run_id,
            method=run.method_used or run.method,
            space=run.space,
            original_space=original,
            seed=run.random_state,
            stage_index=run.stage_index,
            refined=run.space != original,
            explore=orchestration.stages[run.stage_index].explore,
            shuffled=run.pruning is not None,
            start=run.start,
            modelling_space=None if modelled == original else modelled,
        )
        self._places = {trial.number: place for place, trial in enumerate(self.known)}
        self._modelled = {
            each.tuning_run_id
            for each in runs_of(orchestration)
            if each.state is LifecycleState.RUNNING and each.method in ADAPTIVE_METHODS
        }
        took = [
            each.fit_seconds + each.score_seconds
            for each in self.known
            if each.tuning_run_id == run.tuning_run_id
            and each.state in (TrialState.SUCCEEDED, TrialState.PRUNED)
            and each.copied_from is None
        ]
        if took:
            self.mean_seconds = sum(took[-20:]) / len(took[-20:])

    @property
    def left(self) -> int:
        """Trials that may still be created: the store allows no more than planned and budgeted."""
        if self.space_is_used_up:
            return 0
        left = max(0, self.planned - self.created)
        return left if self.allowed is None else min(left, self.allowed)

    @property
    def cut_short(self) -> bool:
        """Whether the budget ends the tuning run before its own number of trials does."""
        return self.allowed == 0 and self.created < self.planned and not self.space_is_used_up

    @property
    def done(self) -> bool:
        """Whether nothing is open and nothing is left to create."""
        return self.open == 0 and self.left == 0

    @property
    def active_modelled_runs(self) -> int:
        """Model-based tuning runs of the orchestration that run now."""
        return max(1, len(self._modelled))

    def fall_back(self, method: str) -> None:
        """Goes on with another method."""
        self.task = replace(self.task, method=method)

    def add(
        self,
        orchestration_id: str,
        first_number: int,
        suggestions: Sequence[Suggestion],
        *,
        remaining: int | None,
    ) -> None:
        """Takes note of trials that were created, with consecutive numbers.

        Args:
            remaining: trials the store still allows; None when it did not say.
        """
        for offset, suggestion in enumerate(suggestions):
            if self.task.method not in FORGETFUL:
                number = first_number + offset
                self._places[number] = len(self.known)
                self.known.append(
                    Trial(
                        orchestration_id=orchestration_id,
                        number=number,
                        tuning_run_id=self.tuning_run_id,
                        stage_index=self.task.stage_index,
                        state=TrialState.QUEUED,
                        attempt=0,
                        parameters=suggestion.parameters,
                        candidate_index=suggestion.candidate_index,
                        phase=suggestion.phase,
                        suggestion_index=self.created + offset,
                        suggested_at_sequence=self.sequence,
                    )
                )
        self.created += len(suggestions)
        self.open += len(suggestions)
        if remaining is not None:
            self.allowed = remaining
        elif self.allowed is not None:
            self.allowed = max(0, self.allowed - len(suggestions))

    def apply(self, events: Sequence[Event]) -> int:
        """Takes note of events; those seen before change nothing.

        Returns: how many trials of this tuning run ended.
        """
        closed = 0
        for event in events:
            payload = event.payload
            if isinstance(payload, TrialFinished):
                # A listed trial may be older than the snapshot the counts are from: both are needed.
                self._settle(payload)
            if event.sequence <= self.sequence:
                continue
            self.sequence = event.sequence
            if isinstance(payload, TrialFinished) and payload.tuning_run_id == self.tuning_run_id:
                closed += 1
                self._count(payload)
            elif isinstance(payload, StageChanged) and payload.tuning_run_id:
                self._follow_state(payload)
            elif isinstance(payload, OrchestrationChanged):
                self.stopped |= payload.state is not LifecycleState.RUNNING
            if isinstance(payload, (OrchestrationReopened, StageChanged)):
                # Extended, perhaps: the store says at the next creation how much is left.
                self.allowed = None
        return closed

    def _count(self, finished: TrialFinished) -> None:
        self.open -= 1
        self.succeeded += finished.state is TrialState.SUCCEEDED
        ran = finished.copied_from is None
        if ran and finished.state in (TrialState.SUCCEEDED, TrialState.PRUNED):
            took, mean = finished.duration_seconds, self.mean_seconds
            self.mean_seconds = took if mean is None else mean + _SMOOTHING * (took - mean)

    def _settle(self, finished: TrialFinished) -> None:
        place = self._places.get(finished.number)
        if place is None or self.known[place].state.is_terminal:
            return
        self.known[place] = ended(self.known[place], finished, metric=self._metric)

    def _follow_state(self, changed: StageChanged) -> None:
        running = changed.state is LifecycleState.RUNNING
        if changed.tuning_run_id == self.tuning_run_id:
            self.stopped |= not running
            if running and changed.planned_trials > 0:
                self.planned = changed.planned_trials
        elif not running:
            self._modelled.discard(changed.tuning_run_id)
