"""Ending tuning runs: with what state and reason, and with which space the next stage goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from services.coordinator.ports import Closing, RunCloser
from services.coordinator.service.preview import countable
from services.coordinator.service.progress import earlier_runs
from services.core.plan import GRID_SEARCH, LifecycleState
from services.core.presets import planned_trials
from services.core.refinement import refine
from services.core.run import Orchestration, TuningRun
from services.core.space import cardinality
from services.core.trial import Trial, TrialState

# The most frequent message is found among so many failures; the rest would say the same.
_FAILURES_READ = 1_000


def end_reason(run: TuningRun, *, created: int) -> str:
    """Says why a tuning run ended that has nothing left to do: its points or its budget ran out."""
    if run.method == GRID_SEARCH or created < run.counts.total:
        return "SPACE_EXHAUSTED"
    return "BUDGET_SPENT"


def most_frequent_failure(trials: Sequence[Trial]) -> str:
    """The failure message that most trials ended with, and how many did; empty without failures."""
    messages = Counter(
        f"{trial.failure.kind.value}: {trial.failure.message}" for trial in trials if trial.failure
    )
    if not messages:
        return ""
    # Ties go to the one that came first: Counter keeps the order of first sight.
    message, count = messages.most_common(1)[0]
    return f"{count} of {len(trials)} failed trials with {message}"


def next_run(orchestration: Orchestration, run: TuningRun) -> tuple[TuningRun, float] | None:
    """The tuning run of the same model run in the next stage, and the factor its space is refined by.

    None when there is no such tuning run, or its stage searches the original space.
    """
    index = run.stage_index + 1
    if index >= len(orchestration.stages):
        return None
    stage = orchestration.stages[index]
    if stage.refinement_factor is None:
        return None
    for each in stage.tuning_runs:
        if each.model_run_id == run.model_run_id:
            return each, stage.refinement_factor
    return None


class RunEnd:
    """Closes tuning runs on evidence read after the snapshot that the store's guard checks against."""

    def __init__(self, closer: RunCloser) -> None:
        self._closer = closer

    async def close(
        self, orchestration: Orchestration, run: TuningRun, *, epoch: int | None, reason: str
    ) -> Orchestration:
        """Ends a tuning run: COMPLETED with a success, else FAILED.

        Args:
            orchestration: a fresh snapshot: a trial that ends after it makes the store refuse.
            run: the tuning run in it.
            epoch: of the searcher lease; None for an end by hand.

        Raises:
            Conflict: a trial ended meanwhile, or the lease is another's: look again.
            WrongState: the tuning run has ended.
        """
        as_of = orchestration.last_sequence
        if run.counts.succeeded == 0:
            closing = await self._failure(run, epoch=epoch, as_of=as_of, reason=reason)
        else:
            closing = await self._success(orchestration, run, epoch=epoch, reason=reason)
        return await self._closer.close_tuning_run(closing)

    async def _failure(
        self, run: TuningRun, *, epoch: int | None, as_of: int, reason: str
    ) -> Closing:
        failed = await self._closer.list_trials(
            run.tuning_run_id, states=[TrialState.FAILED], limit=_FAILURES_READ
        )
        message = most_frequent_failure(failed)
        if epoch is None:
            message = message or "ended by hand before any of its trials succeeded"
        else:
            reason = "ALL_TRIALS_FAILED" if failed else reason
            message = message or "there was nothing to try"
        return Closing(
            tuning_run_id=run.tuning_run_id,
            epoch=epoch,
            as_of_sequence=as_of,
            state=LifecycleState.FAILED,
            reason=reason,
            message=message,
        )

    async def _success(
        self, orchestration: Orchestration, run: TuningRun, *, epoch: int | None, reason: str
    ) -> Closing:
        closing = Closing(
            tuning_run_id=run.tuning_run_id,
            epoch=epoch,
            as_of_sequence=orchestration.last_sequence,
            state=LifecycleState.COMPLETED,
            reason=reason,
        )
        following = next_run(orchestration, run)
        if following is None:
            return closing
        target, factor = following
        evidence: list[Trial] = []
        for each in [*earlier_runs(orchestration, run), run]:
            evidence.extend(await self._closer.list_trials(each.tuning_run_id))
        # A long search has a hundred thousand trials to rank: the event loop must not wait for it.
        refinement = await asyncio.to_thread(
            refine,
            target.original_space,
            run.space,
            evidence,
            factor,
            source_method=run.method,
            orchestration_id=orchestration.orchestration_id,
            source_tuning_run_id=run.tuning_run_id,
            target_tuning_run_id=target.tuning_run_id,
        )
        space = refinement.space_after
        return replace(
            closing,
            refinement=refinement,
            next_planned_trials=planned_trials(space, target.trial_budget),
            next_total_combinations=countable(cardinality(space)),
        )
