"""What sets a request apart from the study whose name it bears."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import TypeAlias

from services.core.plan import Plan, StagePlan, TuningRunPlan
from services.core.refinement_text import describe
from services.core.run import Orchestration, Stage, TuningRun
from services.core.space import SearchSpace

_MOST = 10
_Plain: TypeAlias = str | int | float | None


def differences(study: Orchestration, plan: Plan) -> list[str]:
    """Says in words in what a plan differs from a study, but for totals and limits.

    Returns: at most ten; empty where nothing of what is shown of a study differs.
    """
    found = [
        *_compared(
            workflow=(study.workflow, plan.workflow),
            scoring_metric=(study.scoring_metric, plan.scoring_metric),
            cv_folds=(study.cv_folds, plan.cv_folds),
            random_state=(study.random_state, plan.random_state),
            max_concurrent_trials=(study.max_concurrent_trials, plan.max_concurrent_trials),
            priority=(study.priority, plan.priority),
            worker_class=(study.worker_class, plan.worker_class),
            price_per_hour=(study.budget.price_per_hour, plan.budget.price_per_hour),
            trial_timeout_seconds=(
                study.budget.trial_timeout_seconds,
                plan.budget.trial_timeout_seconds,
            ),
            stopping=(study.stopping, plan.stopping),
            selection=(study.selection, plan.selection),
        )
    ]
    if len(study.stages) != len(plan.stages):
        found.append(f"it has {len(study.stages)} stages there and {len(plan.stages)} here")
    for index, (stage, asked) in enumerate(zip(study.stages, plan.stages, strict=False)):
        last = index == len(study.stages) - 1
        told = dict.fromkeys(_of_stage(stage, asked, last=last))
        found += [f"stages[{index}]: {each}" for each in told]
    return found[:_MOST]


def _of_stage(stage: Stage, asked: StagePlan, *, last: bool) -> Iterator[str]:
    yield from _compared(
        method=(stage.method, asked.method),
        parallel=(not stage.max_active_tuning_runs, not asked.max_active_tuning_runs),
        refinement=(
            stage.refinement_factor and stage.refinement,
            asked.refinement_factor and asked.refinement,
        ),
        refinement_factor=(stage.refinement_factor, asked.refinement_factor),
    )
    if stage.refinement_factor is not None:
        yield from _compared(explore=(stage.explore, asked.explore))
    for run, other in zip_longest(stage.tuning_runs, asked.tuning_runs):
        if run is None or other is None or run.model_run_id != other.model_run_id:
            yield "the model runs are others, or in another order"
            return
        yield from _of_run(run, other, last=last)


def _of_run(run: TuningRun, asked: TuningRunPlan, *, last: bool) -> Iterator[str]:
    yield from _compared(
        metrics=(run.metrics, asked.evaluation.metrics),
        splitter=(run.splitter, asked.evaluation.splitter),
        stopping=(run.stopping, asked.stopping),
        pruning=(run.pruning, asked.pruning),
    )
    if not last:
        # How far the last one goes may grow; what follows others rests on how far they went.
        yield from _compared(n_iter=(run.trial_budget, asked.trial_budget))
    if run.start != asked.start:
        yield "what is tried first is another"
    yield from _of_space(run.original_space, asked.space, run.model_type)


def _of_space(space: SearchSpace, asked: SearchSpace, model_type: str) -> Iterator[str]:
    before = {each.name: each for each in space.parameters}
    after = {each.name: each for each in asked.parameters}
    for name in dict.fromkeys([*before, *after]):
        there, here = before.get(name), after.get(name)
        if there is None or here is None:
            yield f"{name} of {model_type} is searched {'here' if there is None else 'there'} only"
        elif there != here and describe(there) != describe(here):
            yield (
                f"{name} of {model_type} is searched at {describe(there)} there and at"
                f" {describe(here)} here"
            )
        elif there != here:
            yield f"{name} of {model_type} is searched in another way"
    if set(space.constraints) != set(asked.constraints):
        yield f"the constraints of {model_type}'s space are others"


def _compared(**pairs: tuple[object, object]) -> Iterator[str]:
    for name, (there, here) in pairs.items():
        if there == here:
            continue
        if isinstance(there, _Plain) and isinstance(here, _Plain):
            yield f"{name} is {_shown(there)} there and {_shown(here)} here"
        else:
            yield f"{name} is another"


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)
