"""Progress as plain lines, for logs and pipes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from crescendo.cli import wording
from crescendo.client.events import (
    BestImproved,
    Event,
    Notice,
    OrchestrationChanged,
    OrchestrationReopened,
    RefinementMade,
    StageChanged,
    TrialFinished,
    WatchItem,
)
from crescendo.client.progress import Progress, StageProgress

# A stage writes a line at every tenth of its trials.
_TENTHS = 10


@dataclass(slots=True)
class PlainLines:
    """Gives the lines worth writing for each item of a watch."""

    progress: Progress
    _reported: dict[int, int] = field(default_factory=dict)

    def opening(self) -> Iterator[str]:
        """Gives the lines that say where things stand at the start."""
        whole = self.progress.orchestration
        yield f"{wording.method(whole.workflow)} {whole.orchestration_id}: {self.progress.state}"
        for stage in self.progress.stages:
            self._reported[stage.index] = _tenth(stage)
            yield f"{_title(stage)}: {stage.state}, {stage.completed}/{stage.total} trials"

    def lines(self, item: WatchItem) -> Iterator[str]:
        """Gives the lines for an item the progress has already taken in."""
        if not isinstance(item, Event):
            return
        match item.change:
            case StageChanged(tuning_run_id="") as changed:
                yield from self._stage_lines(changed)
            case TrialFinished() as finished:
                yield from self._trial_lines(finished)
            case BestImproved(best=best):
                yield (
                    f"best so far: {wording.score(best.score)}"
                    f" ({best.model_type}, trial {best.trial_number},"
                    f" {wording.method(best.method)}) {wording.parameters(best.parameters)}"
                )
            case RefinementMade(refinement=refinement):
                yield f"refined: {refinement.summary}"
            case Notice(message=message):
                yield f"note: {message}"
            case OrchestrationChanged() as changed:
                yield _with_message(f"{self.progress.state}", changed.message)
            case OrchestrationReopened(total_trials=total):
                yield f"reopened: {total} trials planned"
            case _:
                return

    def _stage_lines(self, changed: StageChanged) -> Iterator[str]:
        stage = self.progress.stages[changed.stage_index]
        line = f"{_title(stage)}: {changed.state}"
        if changed.state == "running":
            line += f", {wording.count(stage.total, 'trial')}"
        elif stage.best_score is not None:
            line += f", best {wording.score(stage.best_score)}"
        yield _with_message(line, changed.message)

    def _trial_lines(self, finished: TrialFinished) -> Iterator[str]:
        if finished.failure is not None:
            yield (
                f"trial {finished.number} failed ({finished.failure.kind}):"
                f" {finished.failure.message}"
            )
        for stage in self.progress.stages:
            if any(run.tuning_run_id == finished.tuning_run_id for run in stage.runs):
                tenth = _tenth(stage)
                if tenth > self._reported.get(stage.index, 0):
                    self._reported[stage.index] = tenth
                    yield f"{_title(stage)}: {stage.completed}/{stage.total} trials"


def _title(stage: StageProgress) -> str:
    return f"stage {stage.index + 1} ({wording.method(stage.method)})"


def _tenth(stage: StageProgress) -> int:
    return stage.completed * _TENTHS // stage.total if stage.total else 0


def _with_message(line: str, message: str) -> str:
    return f"{line}: {message}" if message else line
