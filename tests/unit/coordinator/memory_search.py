"""A store's side of conducting in memory: real enough to run whole searches on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from services.coordinator.ports import (
    Closing,
    CreatedTrials,
    SearcherLease,
)
from services.core.errors import Conflict, NotFound, Unavailable, WrongState
from services.core.event import (
    Notice,
    OrchestrationChanged,
    OrchestrationReopened,
    RefinementMade,
    StageChanged,
    TrialFinished,
    TrialsQueued,
)
from services.core.plan import LifecycleState, Plan
from services.core.run import Orchestration, Stage, Timings, TrialCounts, TuningRun
from services.core.trial import Failure, FailureKind, NewTrial, Trial, TrialState
from tests.unit.coordinator.memory_log import MemoryLog


class MemorySearchStore(MemoryLog):
    """One orchestration with everything conducting needs; what the real store promises, it does.

    `fail_next` raises Unavailable in that many of the coming writes, after they were executed.
    """

    def __init__(self, plan: Plan, *, slots: int = 2) -> None:
        super().__init__("o-1")
        self.trials: list[Trial] = []
        self.plan = plan
        self.budget = plan.budget
        self.calls: Counter[str] = Counter()
        self.refusals: list[Exception] = []
        self.overdue = False
        self.slots = slots
        self.epoch = 1
        self.holder = ""
        self.lost_answers = 0
        self.closings: list[Closing] = []
        self.notices: list[tuple[str, str]] = []
        self.state = LifecycleState.RUNNING
        self.runs: list[TuningRun] = []
        self.factors = [stage.refinement_factor for stage in plan.stages]
        for index, stage in enumerate(plan.stages):
            for each in stage.tuning_runs:
                self.runs.append(
                    TuningRun(
                        tuning_run_id=f"r-{len(self.runs)}",
                        orchestration_id=self.orchestration_id,
                        stage_index=index,
                        model_run_id=each.model_run_id,
                        model_type=each.model_type,
                        method=stage.method,
                        method_used=stage.method,
                        state=LifecycleState.RUNNING if index == 0 else LifecycleState.PENDING,
                        reason="",
                        message="",
                        space=each.space,
                        original_space=each.space,
                        trial_budget=each.trial_budget,
                        total_combinations=each.total_combinations,
                        counts=TrialCounts(total=each.planned_trials),
                        best=None,
                        timings=Timings(),
                        metrics=each.evaluation.metrics,
                        cv_folds=plan.cv_folds,
                        random_state=plan.random_state,
                    )
                )
        self.append(OrchestrationChanged(state=LifecycleState.RUNNING))

    # --- Reading ---

    async def get_orchestration(self, orchestration_id: str) -> Orchestration:
        if orchestration_id != self.orchestration_id:
            raise NotFound(f"no orchestration {orchestration_id}")
        await asyncio.sleep(0)
        runs = [self._counted(run) for run in self.runs]
        stages = []
        for index, stage in enumerate(self.plan.stages):
            mine = tuple(run for run in runs if run.stage_index == index)
            counts = sum((run.counts for run in mine), TrialCounts())
            stages.append(
                Stage(
                    index=index,
                    method=stage.method,
                    state=self._stage_state(mine),
                    reason="",
                    message="",
                    best_score=None,
                    counts=counts,
                    timings=Timings(),
                    tuning_runs=mine,
                    max_active_tuning_runs=stage.max_active_tuning_runs,
                    refinement_factor=stage.refinement_factor,
                )
            )
        return Orchestration(
            orchestration_id=self.orchestration_id,
            workflow=self.plan.workflow,
            state=self.state,
            reason="",
            message="",
            study_name="",
            counts=sum((stage.counts for stage in stages), TrialCounts()),
            stages=tuple(stages),
            best=None,
            last_sequence=len(self.events),
            timings=Timings(),
            scoring_metric=self.plan.scoring_metric,
            cv_folds=self.plan.cv_folds,
            random_state=self.plan.random_state,
            max_concurrent_trials=self.plan.max_concurrent_trials,
            budget=self.budget,
        )

    async def list_trials(
        self, tuning_run_id: str, *, states: Sequence[TrialState] = (), limit: int | None = None
    ) -> list[Trial]:
        await asyncio.sleep(0)
        mine = [
            trial
            for trial in self.trials
            if trial.tuning_run_id == tuning_run_id and (not states or trial.state in states)
        ]
        return mine[:limit]

    @staticmethod
    def _stage_state(runs: Sequence[TuningRun]) -> LifecycleState:
        states = {run.state for run in runs}
        for state in (LifecycleState.RUNNING, LifecycleState.PAUSED):
            if state in states:
                return state
        if all(state.is_terminal for state in states):
            done = LifecycleState.COMPLETED in states
            return LifecycleState.COMPLETED if done else LifecycleState.FAILED
        return LifecycleState.PENDING

    def _counted(self, run: TuningRun) -> TuningRun:
        states = [each.state for each in self.trials if each.tuning_run_id == run.tuning_run_id]
        counts = TrialCounts(
            total=run.counts.total,
            queued=states.count(TrialState.QUEUED),
            running=states.count(TrialState.RUNNING),
            succeeded=states.count(TrialState.SUCCEEDED),
            failed=states.count(TrialState.FAILED),
            cancelled=states.count(TrialState.CANCELLED),
        )
        return replace(run, counts=counts)

    # --- Searching ---

    async def acquire_searchers(
        self, coordinator_id: str, *, held: Sequence[str], max_new: int
    ) -> list[SearcherLease]:
        if self.holder != coordinator_id:
            self.holder = coordinator_id
            self.epoch += 1
        return [
            SearcherLease(
                tuning_run_id=run.tuning_run_id,
                orchestration_id=self.orchestration_id,
                epoch=self.epoch,
            )
            for run in self.runs
            if run.state is LifecycleState.RUNNING and self.state is LifecycleState.RUNNING
        ]

    async def release_searchers(self, coordinator_id: str, tuning_run_ids: Sequence[str]) -> None:
        if self.holder == coordinator_id:
            self.holder = ""

    async def create_trials(
        self, tuning_run_id: str, *, epoch: int, trials: Sequence[NewTrial]
    ) -> CreatedTrials:
        self.calls["create_trials"] += 1
        run = self._guard(tuning_run_id, epoch)
        if self.refusals:
            raise self.refusals.pop()
        stored = {t.suggestion_index for t in self.trials if t.tuning_run_id == tuning_run_id}
        first, created = len(self.trials), 0
        for new in trials:
            if new.suggestion_index in stored:
                continue
            if self._remaining(tuning_run_id) == 0:
                break
            created += 1
            self.trials.append(
                Trial(
                    orchestration_id=self.orchestration_id,
                    number=len(self.trials),
                    tuning_run_id=tuning_run_id,
                    stage_index=run.stage_index,
                    state=TrialState.QUEUED,
                    attempt=0,
                    parameters=new.parameters,
                    candidate_index=new.candidate_index,
                    phase=new.phase,
                    suggestion_index=new.suggestion_index,
                    suggested_at_sequence=new.suggested_at_sequence,
                    copied_from=new.copied_from,
                )
            )
        if created:
            self.append(
                TrialsQueued(tuning_run_id=tuning_run_id, first_number=first, count=created)
            )
            for each in self.trials[first:]:
                if each.copied_from is not None:
                    self.finish(each.number, self.trials[each.copied_from].score)
        self._lose_answer()
        return CreatedTrials(
            first_number=first, created=created, remaining=self._remaining(tuning_run_id)
        )

    async def add_notice(
        self, tuning_run_id: str, *, epoch: int, reason: str, message: str, method_used: str
    ) -> None:
        run = self._guard(tuning_run_id, epoch)
        self.notices.append((reason, message))
        self._put(replace(run, method_used=method_used))
        self.append(Notice(reason=reason, message=message, tuning_run_id=tuning_run_id))

    async def close_tuning_run(self, closing: Closing) -> Orchestration:
        run = self._guard(closing.tuning_run_id, closing.epoch)
        for event in self.events[closing.as_of_sequence :]:
            payload = event.payload
            if isinstance(payload, TrialFinished) and payload.tuning_run_id == run.tuning_run_id:
                raise Conflict("a trial ended meanwhile")
        self.closings.append(closing)
        for trial in list(self.trials):
            if trial.tuning_run_id == run.tuning_run_id and not trial.state.is_terminal:
                self.finish(trial.number, state=TrialState.CANCELLED)
        self._put(replace(run, state=closing.state, reason=closing.reason, message=closing.message))
        self._announce(run.tuning_run_id, closing.state)
        following = [each for each in self.runs if each.stage_index == run.stage_index + 1]
        if closing.refinement is not None:
            target = next(each for each in following if each.model_run_id == run.model_run_id)
            self._put(
                replace(
                    target,
                    space=closing.refinement.space_after,
                    total_combinations=closing.next_total_combinations,
                    counts=TrialCounts(total=closing.next_planned_trials),
                )
            )
            self.append(RefinementMade(refinement=closing.refinement))
        stage = [each for each in self.runs if each.stage_index == run.stage_index]
        if all(each.state.is_terminal for each in stage):
            won = any(each.state is LifecycleState.COMPLETED for each in stage)
            if won and following:
                for each in following:
                    current = self._run(each.tuning_run_id)
                    self._put(replace(current, state=LifecycleState.RUNNING))
                    self._announce(each.tuning_run_id, LifecycleState.RUNNING)
            else:
                self.end(LifecycleState.COMPLETED if won else LifecycleState.FAILED)
        self._lose_answer()
        return await self.get_orchestration(self.orchestration_id)

    def _guard(self, tuning_run_id: str, epoch: int | None) -> TuningRun:
        run = self._run(tuning_run_id)
        if epoch is not None and epoch != self.epoch:
            raise Conflict("the lease is another's", reason="EPOCH_OLD")
        if run.state is not LifecycleState.RUNNING:
            raise WrongState(f"{tuning_run_id} is {run.state.value}")
        return run

    def _run(self, tuning_run_id: str) -> TuningRun:
        return next(run for run in self.runs if run.tuning_run_id == tuning_run_id)

    def _put(self, run: TuningRun) -> None:
        self.runs = [run if each.tuning_run_id == run.tuning_run_id else each for each in self.runs]

    def _announce(self, tuning_run_id: str, state: LifecycleState) -> None:
        index = self._run(tuning_run_id).stage_index
        self.append(
            StageChanged(
                stage_index=index,
                tuning_run_id=tuning_run_id,
                state=state,
                planned_trials=self._run(tuning_run_id).counts.total,
            )
        )

    def _remaining(self, tuning_run_id: str) -> int:
        if self.overdue:
            return 0
        planned = self._run(tuning_run_id).counts.total
        left = planned - sum(each.tuning_run_id == tuning_run_id for each in self.trials)
        limit = self.budget.max_trials
        spent = sum(each.copied_from is None for each in self.trials)
        return left if limit is None else min(left, limit - spent)

    def _lose_answer(self) -> None:
        if self.lost_answers > 0:
            self.lost_answers -= 1
            raise Unavailable("the answer was lost")

    # --- What workers and people do ---

    def end(self, state: LifecycleState) -> None:
        self.state = state
        self.append(OrchestrationChanged(state=state, final=True))

    def extend(self, trials: int) -> None:
        """Gives the last stage's tuning runs more trials, and the budget as many."""
        if self.budget.max_trials is not None:
            self.budget = replace(self.budget, max_trials=self.budget.max_trials + trials)
        last = max(run.stage_index for run in self.runs)
        if self.state.is_terminal:
            self.state = LifecycleState.RUNNING
            self.append(OrchestrationReopened(total_trials=0))
        for run in [each for each in self.runs if each.stage_index == last]:
            counts = replace(run.counts, total=run.counts.total + trials)
            self._put(replace(run, counts=counts, state=LifecycleState.RUNNING))
            self._announce(run.tuning_run_id, LifecycleState.RUNNING)

    def waiting(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state is TrialState.QUEUED]

    def finish(
        self, number: int, score: float | None = None, *, state: TrialState | None = None
    ) -> None:
        trial = self.trials[number]
        if state is None:
            state = TrialState.FAILED if score is None else TrialState.SUCCEEDED
        failure = None
        if state is TrialState.FAILED:
            failure = Failure(kind=FailureKind.EXCEPTION, message="it broke")
        self.trials[number] = replace(trial, state=state, score=score, failure=failure)
        self.append(
            TrialFinished(
                number=number,
                attempt=trial.attempt,
                state=state,
                score=score,
                failure=failure,
                tuning_run_id=trial.tuning_run_id,
                duration_seconds=0.001,
                copied_from=trial.copied_from,
            )
        )
