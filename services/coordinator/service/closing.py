"""Ending tuning runs: with what state and reason, and with which space the next stage goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from services.coordinator.ports import Closing, RunCloser
from services.coordinator.service.preview import countable
from services.coordinator.service.progress import earlier_runs
from services.core.counting import cardinality
from services.core.plan import GRID_SEARCH, LifecycleState
from services.core.presets import planned_trials
from services.core.refinement import refine
from services.core.refinement_rules import HELD
from services.core.run import Orchestration, Stage, TuningRun
from services.core.trial import Trial, TrialState, in_short

# The most frequent message is found among so many failures; the rest would hardly change that.
_FAILURES_READ = 1_000


def end_reason(run: TuningRun, *, created: int, cut_short: bool) -> str:
    """Says why a tuning run ended that has nothing left to do: its points or its budget ran out.

    Args:
        cut_short: whether the orchestration's budget ran out before its own number of trials.
    """
    if cut_short:
        return "BUDGET_SPENT"
    if run.method == GRID_SEARCH or created < run.counts.total:
        return "SPACE_EXHAUSTED"
    return "BUDGET_SPENT"


def most_frequent_failure(trials: Sequence[Trial], *, failed: int) -> str:
    """The failure message that most trials ended with, and how many did; empty without failures.

    Args:
        trials: failed ones; the first of them where there are very many.
        failed: how many there are.
    """
    messages = Counter(
        f"{trial.failure.kind.value}: {trial.failure.message}" for trial in trials if trial.failure
    )
    if not messages:
        return ""
    # Ties go to the one that came first: Counter keeps the order of first sight.
    message, count = messages.most_common(1)[0]
    known = f"{count}" if len(trials) >= failed else f"at least {count}"
    return f"{known} of {max(failed, len(trials))} failed trials with {in_short(message)}"


def next_run(orchestration: Orchestration, run: TuningRun) -> tuple[TuningRun, Stage] | None:
    """The tuning run of the same model run in the next stage, and that stage.

    None when there is no such tuning run.
    """
    index = run.stage_index + 1
    if index >= len(orchestration.stages):
        return None
    stage = orchestration.stages[index]
    for each in stage.tuning_runs:
        if each.model_run_id == run.model_run_id:
            return each, stage
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
        message = most_frequent_failure(failed, failed=run.counts.failed)
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
        target, stage = following
        evidence: list[Trial] = []
        for each in [*earlier_runs(orchestration, run), run]:
            evidence.extend(await self._closer.list_trials(each.tuning_run_id))
        # A long search has a hundred thousand trials to rank: the event loop must not wait for it.
        refinement = await asyncio.to_thread(
            refine,
            target.original_space,
            run.space,
            evidence,
            stage.refinement_factor,
            source_method=run.method,
            rule=stage.refinement,
            orchestration_id=orchestration.orchestration_id,
            source_tuning_run_id=run.tuning_run_id,
            target_tuning_run_id=target.tuning_run_id,
        )
        if stage.refinement_factor is None and all(
            each.rule != HELD for each in refinement.parameters
        ):
            # Searched as it was asked for: there is nothing to tell.
            return closing
        space = refinement.space_after
        return replace(
            closing,
            refinement=refinement,
            next_planned_trials=planned_trials(space, target.trial_budget),
            next_total_combinations=countable(cardinality(space)),
        )
