"""Ranking the models of an orchestration: a pure decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.core.plan import LifecycleState
from services.core.run import BestTrial, Orchestration, TuningRun
from services.store.ports.results import RankedModel, SelectionMade


def runs_by_model(orchestration: Orchestration) -> dict[str, list[TuningRun]]:
    """Gives the tuning runs of each model run in the order of the stages."""
    by_model: dict[str, list[TuningRun]] = {}
    for stage in orchestration.stages:
        for run in stage.tuning_runs:
            by_model.setdefault(run.model_run_id, []).append(run)
    return by_model


def ranked_models(
    orchestration: Orchestration, selections: Mapping[str, SelectionMade]
) -> tuple[RankedModel, ...]:
    """Ranks models by their best trial over all stages, equal scores by their place in the plan.

    Models without a successful trial come last, unranked, with why.

    Args:
        selections: by model run, what was selected in place of the best by score.
    """
    placed = [
        (runs, selections[name].best if name in selections else best_of_runs(runs))
        for name, runs in runs_by_model(orchestration).items()
    ]
    ranked = sorted(
        ((runs, best) for runs, best in placed if best is not None),
        # sorted() keeps the plan's order between equals.
        key=lambda pair: -pair[1].score,
    )
    found = [
        replace(_ranked(rank, runs, best), selection=selections.get(best.model_run_id))
        for rank, (runs, best) in enumerate(ranked, start=1)
    ]
    found += [_ranked(0, runs, None) for runs, best in placed if best is None]
    return tuple(found)


def best_of_runs(runs: Sequence[TuningRun]) -> BestTrial | None:
    """Gives the best trial by score of one model's tuning runs; None without a successful one."""
    best: BestTrial | None = None
    for run in runs:
        # Stages come in order: on equal scores the earlier one stays.
        if run.best is not None and (best is None or run.best.score > best.score):
            best = run.best
    return best


def _ranked(rank: int, runs: list[TuningRun], best: BestTrial | None) -> RankedModel:
    last = runs[-1]
    begun = [each for each in runs if each.timings.started_at is not None]
    return RankedModel(
        rank=rank,
        model_run_id=last.model_run_id,
        model_type=last.model_type,
        state=(begun or runs)[-1].state,
        best=best,
        message="" if best is not None else _why_unranked((begun or runs)[-1]),
    )


def _why_unranked(run: TuningRun) -> str:
    if run.message:
        return run.message
    if run.state is LifecycleState.PENDING:
        return "it has not begun"
    if run.state.is_terminal:
        return f"it ended without a successful trial ({run.reason or run.state.name})"
    return "no trial has succeeded so far"
