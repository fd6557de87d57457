"""Which candidates each stage of a plan must keep for what follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.core.errors import FieldViolation, InvalidRequest
from services.core.iterative_models import most_rounds, rounds_problem
from services.core.plan import StagePlan, TuningRunPlan
from services.core.pruning_settings import MEDIAN, Pruning, StepKind
from services.core.refinement import top_count


def with_pruning(
    stages: Sequence[StagePlan], prunings: Sequence[Pruning | None], *, fields: Sequence[str]
) -> tuple[StagePlan, ...]:
    """Sets how the trials of each stage's tuning runs are stopped early.

    Args:
        prunings: of each stage; None where they are not.
        fields: path of each stage's pruning in the request, the same where stages share one.

    A refinement rests on the best trials of a model run over all stages so far, and on all that tie
    with the last of them. Each stage before one keeps as many of its own: those are among them. Rules
    that guess keep nothing.

    Raises: InvalidRequest: no tuning run has the trials the median rule needs before it judges one; or
        candidates cannot be stopped between the rounds asked for.
    """
    _check_start_up(stages, prunings, fields)
    planned: dict[str, int] = {}
    pruned: list[StagePlan] = []
    for index, (stage, pruning, field) in enumerate(zip(stages, prunings, fields, strict=True)):
        refined = any(each.refinement_factor is not None for each in stages[index + 1 :])
        runs = []
        for run in stage.tuning_runs:
            count = planned.get(run.model_run_id, 0) + run.planned_trials
            planned[run.model_run_id] = count
            keeps = (
                replace(pruning, keep=max(pruning.keep, top_count(count)), keep_ties=True)
                if refined and pruning is not None and not pruning.guesses
                else _stepped(pruning, run, field)
            )
            runs.append(replace(run, pruning=keeps))
        pruned.append(replace(stage, tuning_runs=tuple(runs)))
    return tuple(pruned)


def _stepped(pruning: Pruning | None, run: TuningRunPlan, field: str) -> Pruning | None:
    """Says how many steps the trials of a tuning run make, where that depends on what they search."""
    if pruning is None or pruning.step_kind is not StepKind.BOOSTING_ROUND:
        return pruning
    fixed = run.evaluation.fixed_parameters
    if problem := rounds_problem(run.model_type, fixed, run.space):
        description = f"is boosting_round, and {problem}"
        raise InvalidRequest([FieldViolation(field=f"{field}.step_kind", description=description)])
    return replace(pruning, max_steps=most_rounds(run.model_type, fixed, run.space))


def _check_start_up(
    stages: Sequence[StagePlan], prunings: Sequence[Pruning | None], fields: Sequence[str]
) -> None:
    needed: dict[str, int] = {}
    most: dict[str, int] = {}
    for stage, pruning, field in zip(stages, prunings, fields, strict=True):
        if pruning is not None and pruning.rule == MEDIAN:
            needed[field] = pruning.startup_trials
            planned = (run.planned_trials for run in stage.tuning_runs)
            most[field] = max(most.get(field, 0), max(planned, default=0))
    found = [
        FieldViolation(
            field=f"{field}.startup_trials",
            description=f"is {needed[field]}, and no search runs more than {trials}"
            " trials: none would be judged; ask for fewer, or for more trials",
        )
        for field, trials in most.items()
        if trials <= needed[field]
    ]
    if found:
        raise InvalidRequest(found)
