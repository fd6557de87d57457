"""How long a running orchestration still takes: an estimate from what trials took so far."""

from __future__ import annotations

from dataclasses import replace

from services.core.run import Orchestration, Stage, TuningRun
from services.store.ports.results import Pace


def with_remaining(orchestration: Orchestration, pace: Pace) -> Orchestration:
    """Fills in the remaining seconds of tuning runs, stages and the whole; None where nothing is known.

    A trial that is to come takes as long as the measured ones of its tuning run, else of the same
    model's tuning runs before it; slots work side by side.
    """
    width = max(1, pace.slots)
    if orchestration.max_concurrent_trials:
        width = min(width, orchestration.max_concurrent_trials)
    per_model: dict[str, float] = {}
    stages: list[Stage] = []
    for stage in orchestration.stages:
        runs = tuple(
            _run_with_remaining(each, pace, per_model, width) for each in stage.tuning_runs
        )
        seconds = _total([each.timings.remaining_seconds for each in runs])
        stages.append(
            replace(
                stage,
                tuning_runs=runs,
                timings=replace(stage.timings, remaining_seconds=seconds),
            )
        )
    total = _total([each.timings.remaining_seconds for each in stages])
    return replace(
        orchestration,
        stages=tuple(stages),
        timings=replace(orchestration.timings, remaining_seconds=total),
    )


def _run_with_remaining(
    run: TuningRun, pace: Pace, per_model: dict[str, float], width: int
) -> TuningRun:
    measured = pace.mean_durations.get(run.tuning_run_id)
    if measured is not None:
        per_model[run.model_run_id] = measured
    if run.state.is_terminal:
        return replace(run, timings=replace(run.timings, remaining_seconds=0.0))
    mean = per_model.get(run.model_run_id)
    left = max(0, run.counts.total - run.counts.completed)
    seconds = None if mean is None else left * mean / min(width, max(1, left))
    return replace(run, timings=replace(run.timings, remaining_seconds=seconds))


def _total(parts: list[float | None]) -> float | None:
    known = [each for each in parts if each is not None]
    return sum(known) if len(known) == len(parts) else None
