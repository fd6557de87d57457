"""Going on with more: tuning runs that run gain trials, those that ended run again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.core.budget import Budget
from services.core.errors import WrongState
from services.core.event import Notice, OrchestrationChanged, OrchestrationReopened, StageChanged
from services.core.plan import LifecycleState
from services.core.run import TrialCounts
from services.core.stopping import Trend
from services.store.ports.records import TuningRunRecord
from services.store.service import lifecycle
from services.store.service.ledger import Ledger

# Dates have microseconds: what is left of a time that was used up is not exactly nothing.
_SHORTEST_SECONDS = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What an extension comes down to: trials by tuning run, the budget from then on, and why in words."""

    trials: Mapping[str, int]
    budget: Budget
    words: str


def add(ledger: Ledger, ask: Addition) -> None:
    """Gives an orchestration of which everything is locked more to run, and reopens it if it has ended.

    Raises: WrongState: it has ended and would have nothing to run.
    """
    revived = _revivable(ledger, ask)
    _forget_stops(ledger, {*ask.trials, *(each.tuning_run_id for each in revived)})
    if ledger.orchestration.state.is_terminal:
        _check_room(ledger, ask, revived)
        ledger.update(budget=ask.budget)
        _reopen(ledger, ask, revived)
    else:
        ledger.update(budget=ask.budget)
        if ledger.orchestration.state is LifecycleState.RUNNING:
            lifecycle.stop_clock(ledger)
            lifecycle.start_clock(ledger)
        _grow(ledger, ask, revived)
        _revive(ledger, revived)
    sequence = ledger.append(Notice(reason="EXTENDED", message=ask.words))
    for run in list(ledger.runs.values()):
        if not run.state.is_terminal:
            # What was decided before about a tuning run that goes on must not undo this.
            ledger.update_run(run.tuning_run_id, last_end_sequence=sequence)


def _forget_stops(ledger: Ledger, tuning_run_ids: Iterable[str]) -> None:
    """Begins to count anew how long nothing improved: more was asked for in spite of that."""
    record = ledger.orchestration
    ledger.update(trend=Trend(reference=record.trend.reference))
    for tuning_run_id in sorted(tuning_run_ids):
        run = ledger.runs[tuning_run_id]
        ledger.update_run(
            tuning_run_id,
            trend=Trend(reference=run.trend.reference),
            stop_reason="",
            message="" if run.stop_reason else run.message,
        )


def _revivable(ledger: Ledger, ask: Addition) -> list[TuningRunRecord]:
    """Lists ended tuning runs that go on: those that gain trials, and those a limit cut short."""
    room = ask.budget.room_for_trials(ledger.orchestration.trials_spent) != 0
    return [
        run
        for run in sorted(ledger.runs.values(), key=lambda each: (each.stage_index, each.position))
        if run.state.is_terminal
        and (run.tuning_run_id in ask.trials or (room and _may_go_on(ledger, run)))
    ]


def _may_go_on(ledger: Ledger, run: TuningRunRecord) -> bool:
    """Whether a tuning run was cut short and no stage that goes on rests on it as it ended."""
    stage, search = ledger.stages[run.stage_index], ledger.orchestration
    is_open = not stage.state.is_terminal
    return lifecycle.is_cut(run) and (is_open or search.state.is_terminal)


def _check_room(ledger: Ledger, ask: Addition, revived: Sequence[TuningRunRecord]) -> None:
    """Checks that what has ended has something to run, and that every limit leaves room for it."""
    record, budget = ledger.orchestration, ask.budget
    left = sum(
        planned_again(run) + ask.trials.get(run.tuning_run_id, 0) - run.created for run in revived
    )
    problems: list[str] = []
    if budget.room_for_trials(record.trials_spent) == 0:
        problems.append(f"all {budget.max_trials} trials are spent: add additional_trials")
    elif left <= 0:
        cancelled = record.counts.cancelled
        but = f", but for {cancelled} that were cancelled and stay so" if cancelled else ""
        problems.append(f"all its trials have been run{but}: add additional_trials")
    if budget.max_failed_trials is not None and record.counts.failed > budget.max_failed_trials:
        problems.append(
            f"{record.counts.failed} trials failed, the limit is {budget.max_failed_trials}: add"
            " additional_failed_trials"
        )
    seconds_left = budget.seconds_left(record.active_seconds)
    if seconds_left is not None and seconds_left < _SHORTEST_SECONDS:
        problems.append(
            f"it has run for {record.active_seconds:g} s, the limit is {budget.max_seconds:g} s:"
            " add additional_seconds"
        )
    if budget.room_for_attempts(cost=record.cost, reserved_attempts=0) == 0:
        problems.append(
            f"{record.cost:g} is spent of {budget.max_cost:g}, and a trial may cost"
            f" {budget.reservation:g}: add additional_cost"
        )
    if problems:
        raise WrongState(
            f"orchestration {record.orchestration_id} is {record.state.name} and would have nothing"
            f" to run: {'; '.join(problems)}",
            reason="NO_ROOM",
            metadata={"orchestration_id": record.orchestration_id, "state": record.state.name},
        )


def _reopen(ledger: Ledger, ask: Addition, revived: Sequence[TuningRunRecord]) -> None:
    """Lets an ended orchestration run again, from the first stage that has something to run."""
    first = revived[0].stage_index
    ledger.update(state=LifecycleState.RUNNING, reason="", message="", ended_at=None)
    lifecycle.start_clock(ledger)
    for run in revived:
        # Counted before the event that tells the total.
        ledger.count(
            run.tuning_run_id,
            TrialCounts(total=planned_again(run) - run.counts.total),
        )
    _grow(ledger, ask, ())
    ledger.append(OrchestrationReopened(total_trials=ledger.orchestration.counts.total))
    ledger.append(OrchestrationChanged(state=LifecycleState.RUNNING))
    for index in sorted({each.stage_index for each in revived}):
        state = LifecycleState.RUNNING if index == first else LifecycleState.PENDING
        ledger.update_stage(index, state=state, reason="", message="", ended_at=None)
        lifecycle.note_stage(ledger, index)
    _revive(ledger, revived)


def _grow(ledger: Ledger, ask: Addition, revived: Sequence[TuningRunRecord]) -> None:
    """Adds trials to tuning runs, and tells it of those that have not ended."""
    for run in revived:
        ledger.count(run.tuning_run_id, TrialCounts(total=planned_again(run) - run.counts.total))
    for tuning_run_id, more in ask.trials.items():
        run = ledger.runs[tuning_run_id]
        ledger.count(tuning_run_id, TrialCounts(total=more))
        ledger.update_run(tuning_run_id, trial_budget=run.counts.total + more)
        if not run.state.is_terminal:
            ledger.append(
                StageChanged(
                    stage_index=run.stage_index,
                    tuning_run_id=tuning_run_id,
                    state=run.state,
                    planned_trials=run.counts.total + more,
                )
            )


def _revive(ledger: Ledger, revived: Sequence[TuningRunRecord]) -> None:
    """Lets ended tuning runs wait again, and starts as many as their stages may run at once."""
    for run in revived:
        ledger.update_run(
            run.tuning_run_id,
            state=LifecycleState.PENDING,
            reason="",
            message="",
            ended_at=None,
        )
    for index in sorted({each.stage_index for each in revived}):
        lifecycle.fill_stage(ledger, index)
    for run in revived:
        if ledger.runs[run.tuning_run_id].state is LifecycleState.PENDING:
            lifecycle.set_run(ledger, run.tuning_run_id, LifecycleState.PENDING)


def planned_again(run: TuningRunRecord) -> int:
    """Counts the trials a tuning run has if it goes on without any more."""
    return lifecycle.planned_of(run) if lifecycle.is_cut(run) else run.counts.total
