"""How long a running orchestration still takes: an estimate from what trials took so far."""

from __future__ import annotations

from dataclasses import replace

from services.core.run import Orchestration, Stage, TuningRun
from services.store.ports.results import Pace


def with_remaining(orchestration: Orchestration, pace: Pace) -> Orchestration:
    """Fills in the remaining seconds of tuning runs, stages and the whole; None where nothing is known.

    A trial that is to come takes as long as the measured ones of its tuning run, else of the same
    model's tuning runs before it; slots work side by side. The budget's trials are counted, and nothing
    takes longer than the budget's time.
    """
    width = max(1, pace.slots)
    if orchestration.max_concurrent_trials:
        width = min(width, orchestration.max_concurrent_trials)
    per_model: dict[str, float] = {}
    stages: list[Stage] = []
    made = sum(_created(run) for stage in orchestration.stages for run in stage.tuning_runs)
    room = orchestration.budget.room_for_trials(made - orchestration.used.copied_trials)
    latest = orchestration.budget.seconds_left(orchestration.used.active_seconds)
    for stage in orchestration.stages:
        runs: tuple[TuningRun, ...] = ()
        for each in stage.tuning_runs:
            to_create = max(0, each.counts.total - _created(each))
            if each.state.is_terminal:
                to_create = 0
            if room is not None:
                to_create = min(to_create, room)
                room -= to_create
            runs += (
                _run_with_remaining(each, to_create, pace, per_model, width=width, latest=latest),
            )
        seconds = _total([each.timings.remaining_seconds for each in runs], latest)
        stages.append(
            replace(
                stage,
                tuning_runs=runs,
                timings=replace(stage.timings, remaining_seconds=seconds),
            )
        )
    total = _total([each.timings.remaining_seconds for each in stages], latest)
    return replace(
        orchestration,
        stages=tuple(stages),
        timings=replace(orchestration.timings, remaining_seconds=total),
    )


def _created(run: TuningRun) -> int:
    return run.counts.completed + run.counts.queued + run.counts.running


def _run_with_remaining(
    run: TuningRun,
    to_create: int,
    pace: Pace,
    per_model: dict[str, float],
    *,
    width: int,
    latest: float | None,
) -> TuningRun:
    measured = pace.mean_durations.get(run.tuning_run_id)
    if measured is not None:
        per_model[run.model_run_id] = measured
    if run.state.is_terminal:
        return replace(run, timings=replace(run.timings, remaining_seconds=0.0))
    mean = per_model.get(run.model_run_id)
    left = to_create + run.counts.queued + run.counts.running
    seconds = None if mean is None else left * mean / min(width, max(1, left))
    return replace(run, timings=replace(run.timings, remaining_seconds=_total([seconds], latest)))


def _total(parts: list[float | None], latest: float | None) -> float | None:
    known = [each for each in parts if each is not None]
    if len(known) != len(parts):
        return None
    return sum(known) if latest is None else min(sum(known), latest)
