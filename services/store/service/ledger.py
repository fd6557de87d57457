"""One locked orchestration while it changes: records, counters, events; written in few statements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.common import request_ids
from services.core.event import BestImproved, Payload
from services.core.pruning import Leader, Threshold, place_of, with_leader
from services.core.run import BestTrial, TrialCounts
from services.core.trial import TrialState
from services.store.ports.records import (
    NO_CANDIDATE,
    Best,
    OrchestrationRecord,
    StageRecord,
    TrialRecord,
    TuningRunRecord,
)
from services.store.ports.transaction import Transaction

# The counters are named as the states they count.
_COUNTERS = tuple(state.value for state in TrialState)


class Ledger:
    """What a transaction knows of a locked orchestration, and what it changes about it.

    Args:
        runs: the locked tuning runs; counters of others cannot change.
        stages: the stages, where they matter.
    """

    def __init__(
        self,
        tx: Transaction,
        orchestration: OrchestrationRecord,
        *,
        runs: Iterable[TuningRunRecord],
        stages: Iterable[StageRecord] = (),
    ) -> None:
        self._tx = tx
        self.orchestration = orchestration
        self.runs = {each.tuning_run_id: each for each in runs}
        self.stages = {each.index: each for each in stages}
        self._changed_runs: set[str] = set()
        self._changed_stages: set[int] = set()
        self._payloads: list[Payload] = []
        self._best_before = orchestration.best
        self._rare_before = _rare(orchestration)

    @property
    def now(self) -> datetime:
        """The database's time of this change."""
        return self.orchestration.observed_at

    def append(self, payload: Payload) -> int:
        """Adds an event. Returns: its sequence number."""
        self._payloads.append(payload)
        return self.orchestration.last_sequence + len(self._payloads)

    def update(self, **changes: Any) -> None:
        """Changes the orchestration."""
        self.orchestration = replace(self.orchestration, **changes)

    def update_run(self, tuning_run_id: str, **changes: Any) -> TuningRunRecord:
        """Changes a tuning run. Returns: it as it is now."""
        run = replace(self.runs[tuning_run_id], **changes)
        self.runs[tuning_run_id] = run
        self._changed_runs.add(tuning_run_id)
        return run

    def update_stage(self, index: int, **changes: Any) -> StageRecord:
        """Changes a stage. Returns: it as it is now."""
        stage = replace(self.stages[index], **changes)
        self.stages[index] = stage
        self._changed_stages.add(index)
        return stage

    def runs_of_stage(self, index: int) -> list[TuningRunRecord]:
        """Gives the tuning runs of a stage in the plan's order."""
        found = [each for each in self.runs.values() if each.stage_index == index]
        return sorted(found, key=lambda each: each.position)

    def count(self, tuning_run_id: str, change: TrialCounts) -> None:
        """Adds to the counters of a tuning run and of the orchestration."""
        run = self.runs[tuning_run_id]
        self.update_run(tuning_run_id, counts=run.counts + change)
        self.update(counts=self.orchestration.counts + change)

    def offer_best(self, trial: TrialRecord, score: float) -> None:
        """Takes a complete trial as best of its tuning run, and of the orchestration, where it beats them."""
        run = self.runs[trial.tuning_run_id]
        if run.pruning is not None and not run.pruning.guesses:
            leader = Leader(score=score, place=place_of(trial.candidate_index, trial.number))
            leaders = with_leader(run.leaders, leader, keep=run.pruning.keep)
            run = self.update_run(trial.tuning_run_id, leaders=leaders)
        candidate = NO_CANDIDATE if trial.candidate_index is None else trial.candidate_index
        best = Best(
            number=trial.number,
            tuning_run_id=trial.tuning_run_id,
            score=score,
            # Between models the plan's order decides, as in the ranking; then the order of trials.
            rank=(run.position, trial.stage_index, candidate, trial.number),
        )
        if best.beats(run.best):
            self.update_run(trial.tuning_run_id, best=best)
        if best.beats(self.orchestration.best):
            self.update(best=best)

    async def tell_best(self) -> None:
        """Adds an event for a new best trial, if there is one: before an event nothing may follow."""
        best = self.orchestration.best
        if best is not None and best != self._best_before:
            await self._append_best(best)
        self._best_before = best

    async def save(self) -> None:
        """Writes everything that changed, an event for a new best trial included."""
        await self.tell_best()
        record = self.orchestration
        first = record.last_sequence + 1
        self.update(last_sequence=record.last_sequence + len(self._payloads))
        await self._tx.save_orchestration(self.orchestration)
        if _rare(self.orchestration) != self._rare_before:
            await self._tx.save_budget(self.orchestration)
        if self._changed_runs:
            await self._tx.save_tuning_runs(
                [self.runs[each] for each in sorted(self._changed_runs)]
            )
        if self._changed_stages:
            await self._tx.save_stages(
                record.orchestration_id,
                [self.stages[each] for each in sorted(self._changed_stages)],
            )
        if self._payloads:
            await self._tx.append_events(
                record.orchestration_id,
                first_sequence=first,
                payloads=self._payloads,
                occurred_at=self.now,
                request_id=request_ids.cause(),
            )
        self._payloads = []
        self._rare_before = _rare(self.orchestration)

    async def _append_best(self, best: Best) -> None:
        run = self.runs[best.tuning_run_id]
        self.append(
            BestImproved(
                best=BestTrial(
                    trial_number=best.number,
                    tuning_run_id=best.tuning_run_id,
                    model_run_id=run.model_run_id,
                    model_type=run.model_type,
                    method=run.method_used,
                    score=best.score,
                    parameters=await self._tx.read_parameters(
                        self.orchestration.orchestration_id, best.number
                    ),
                )
            )
        )


def _rare(record: OrchestrationRecord) -> tuple[object, ...]:
    """What changes too rarely to be written with every change."""
    return (
        record.budget,
        record.active_seconds,
        record.active_since,
        record.deadline_at,
        record.cost,
        record.reserved_attempts,
        record.workers_missing,
        record.trend,
        record.copied,
    )


def moved(trials: Iterable[tuple[TrialState, TrialState]]) -> TrialCounts:
    """Gives the change of counters for trials that go from one state to another."""
    change = dict.fromkeys(_COUNTERS, 0)
    for before, after in trials:
        change[before.value] -= 1
        change[after.value] += 1
    return TrialCounts(**change)


def thresholds_of(ledger: Ledger) -> dict[str, Threshold]:
    """Gives what trials of the locked tuning runs must beat, by id, of those where there is something."""
    found = {each.tuning_run_id: each.threshold for each in ledger.runs.values()}
    return {name: threshold for name, threshold in found.items() if threshold is not None}
