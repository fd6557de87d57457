"""What a conductor knows of its tuning run: counts, the trials its searcher learns from, durations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.coordinator.ports import SearchTask
from services.coordinator.service.windows import MODEL_BASED
from services.core.event import Event, OrchestrationChanged, StageChanged, TrialFinished
from services.core.plan import LifecycleState
from services.core.run import Orchestration, TuningRun
from services.core.searcher import Suggestion
from services.core.trial import Trial, TrialState

# A grid's points follow from their index: its trials need not be known, however many they are.
FORGETFUL = frozenset({"grid_search", "cross_validation"})

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
        self.sequence = orchestration.last_sequence
        self.planned = counts.total
        self.open = counts.queued + counts.running
        self.created = self.open + counts.completed
        self.succeeded = counts.succeeded
        self.space_is_used_up = False
        self.stopped = False
        self.mean_seconds: float | None = None
        self.max_concurrent = orchestration.max_concurrent_trials
        self.known: list[Trial] = sorted(known, key=lambda trial: trial.number)
        self.task = SearchTask(
            tuning_run_id=run.tuning_run_id,
            method=run.method_used or run.method,
            space=run.space,
            original_space=run.original_space,
            seed=run.random_state,
            stage_index=run.stage_index,
            refined=run.space != run.original_space,
        )
        self._places = {trial.number: place for place, trial in enumerate(self.known)}
        self._modelled = {
            each.tuning_run_id
            for each in runs_of(orchestration)
            if each.state is LifecycleState.RUNNING and each.method in MODEL_BASED
        }
        took = [
            each.fit_seconds + each.score_seconds
            for each in self.known
            if each.tuning_run_id == run.tuning_run_id and each.state is TrialState.SUCCEEDED
        ]
        if took:
            self.mean_seconds = sum(took[-20:]) / len(took[-20:])

    @property
    def left(self) -> int:
        """Trials that may still be created: the store allows no more than were planned."""
        return 0 if self.space_is_used_up else max(0, self.planned - self.created)

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
        self, orchestration_id: str, first_number: int, suggestions: Sequence[Suggestion]
    ) -> None:
        """Takes note of trials that were created, with consecutive numbers."""
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

    def apply(self, events: Sequence[Event]) -> int:
        """Takes note of events; those seen before change nothing.

        Returns: how many trials of this tuning run ended.
        """
        ended = 0
        for event in events:
            payload = event.payload
            if isinstance(payload, TrialFinished):
                # A listed trial may be older than the snapshot the counts are from: both are needed.
                self._settle(payload)
            if event.sequence <= self.sequence:
                continue
            self.sequence = event.sequence
            if isinstance(payload, TrialFinished) and payload.tuning_run_id == self.tuning_run_id:
                ended += 1
                self._count(payload)
            elif isinstance(payload, StageChanged) and payload.tuning_run_id:
                self._follow_state(payload)
            elif isinstance(payload, OrchestrationChanged):
                self.stopped |= payload.state is not LifecycleState.RUNNING
        return ended

    def _count(self, finished: TrialFinished) -> None:
        self.open -= 1
        self.succeeded += finished.state is TrialState.SUCCEEDED
        if finished.state is TrialState.SUCCEEDED:
            took, mean = finished.duration_seconds, self.mean_seconds
            self.mean_seconds = took if mean is None else mean + _SMOOTHING * (took - mean)

    def _settle(self, finished: TrialFinished) -> None:
        place = self._places.get(finished.number)
        if place is None or self.known[place].state.is_terminal:
            return
        self.known[place] = replace(
            self.known[place],
            state=finished.state,
            attempt=finished.attempt,
            score=finished.score,
            failure=finished.failure,
        )

    def _follow_state(self, changed: StageChanged) -> None:
        running = changed.state is LifecycleState.RUNNING
        if changed.tuning_run_id == self.tuning_run_id:
            self.stopped |= not running
        elif not running:
            self._modelled.discard(changed.tuning_run_id)
