"""Simulated coordinators: they lease searchers, create trials, hand them out and close tuning runs."""

from __future__ import annotations

from typing import Any

from services.common.convert.values import assignment_to_proto
from services.core.errors import CrescendoError, Unavailable
from services.core.plan import LifecycleState
from services.core.refinement import Refinement
from services.core.space import FloatRange, Parameter, SearchSpace
from services.store.app import UseCases
from services.store.ports.records import NewTrial
from services.store.ports.results import Batch
from services.store.service.plans import Closing
from tests.faults.simulation.parts import Parts
from tests.faults.simulation.scheduler import Process, Waiting

SPACE = SearchSpace(parameters=(Parameter(name="C", domain=FloatRange(low=0.0, high=1000.0)),))
READ_RUN = """
SELECT r.orchestration_id, r.state, r.created, r.planned, r.queued, r.running, r.succeeded,
    r.succeeded + r.failed + r.pruned + r.cancelled AS ended, r.stage_index, r.best_number,
    o.last_sequence, o.state AS orchestration_state,
    EXISTS (
        SELECT FROM crescendo.tuning_runs AS n
        WHERE n.orchestration_id = r.orchestration_id AND n.stage_index = r.stage_index + 1
            AND n.model_run_id = r.model_run_id
    ) AS has_successor,
    (
        SELECT b.best_number FROM crescendo.tuning_runs AS b
        WHERE b.orchestration_id = r.orchestration_id AND b.stage_index = r.stage_index - 1
            AND b.model_run_id = r.model_run_id
    ) AS best_before
FROM crescendo.tuning_runs AS r
JOIN crescendo.orchestrations AS o USING (orchestration_id)
WHERE r.tuning_run_id = $1
"""


def suggestions(first: int, count: int, best_before: int | None) -> list[NewTrial]:
    """Makes the points a searcher would suggest; the same for everyone who replays it.

    A stage after another one begins with a copy of its best, where that has an even number.
    """
    copied = best_before if best_before is not None and best_before % 2 == 0 else None
    return [
        NewTrial(
            parameters=assignment_to_proto({"C": float(index)}).SerializeToString(),
            candidate_index=index,
            phase="random",
            suggestion_index=index,
            suggested_at_sequence=1,
            copied_from=copied if index == 0 else None,
        )
        for index in range(first, first + count)
    ]


class Coordinator(Process):
    """One coordinator process."""

    def __init__(self, parts: Parts, name: str) -> None:
        super().__init__(parts.scheduler, name)
        self._parts = parts
        self._epochs: dict[str, int] = {}
        self.spawn(self._decide())
        self.spawn(self._hand_out())

    async def _decide(self) -> None:
        parts = self._parts
        while True:
            await parts.sleep(1.0, 4.0)
            held = sorted(self._epochs)
            try:
                leases = await self._acquire(held)
            except CrescendoError:
                continue
            self._epochs = {each.tuning_run_id: each.epoch for each in leases}
            for tuning_run_id, epoch in sorted(self._epochs.items()):
                try:
                    await self._drive(tuning_run_id, epoch)
                except Unavailable:
                    continue
                except CrescendoError:
                    # What was known is old: look again with the next round.
                    self._epochs.pop(tuning_run_id, None)
            if held and parts.random.random() < 0.03:
                await self._release(held[0])

    def _acquire(self, held: list[str]) -> Waiting:
        return self._parts.call(
            self,
            "acquire",
            (self.name, len(held)),
            lambda cases: cases.searchers.acquire(self.name, held=held, max_new=2),
        )

    def _recall(self, batches: list[Batch]) -> Waiting:
        return self._parts.call(
            self, "recall", len(batches), lambda cases: cases.hand_outs.recall(batches)
        )

    async def _release(self, tuning_run_id: str) -> None:
        self._epochs.pop(tuning_run_id, None)
        try:
            await self._parts.call(
                self,
                "release",
                tuning_run_id,
                lambda cases: cases.searchers.release(self.name, [tuning_run_id]),
            )
        except CrescendoError:
            return

    async def _drive(self, tuning_run_id: str, epoch: int) -> None:
        parts, random = self._parts, self._parts.random

        async def read(cases: UseCases) -> Any:
            # Stands for following the log: what it gives may be old when it arrives.
            (row,) = await parts.database.rows(READ_RUN, tuning_run_id)
            return row

        run = await parts.call(self, "read", tuning_run_id, read)
        if run["state"] != "running":
            return
        room = 6 - run["queued"] - run["running"]
        if run["created"] < run["planned"] and room > 0:
            # A coordinator that replays the log may suggest again what was stored already.
            first = max(0, run["created"] - random.choice((0, 0, 0, 1, 2)))
            points = suggestions(first, random.randint(1, room + 2), run["best_before"])
            made = await parts.call(
                self,
                "create",
                (tuning_run_id, epoch, first, len(points)),
                lambda cases: cases.creation.create(tuning_run_id, epoch=epoch, trials=points),
            )
            is_open = run["queued"] + run["running"] > 0
            if made.remaining == 0 and first + made.created <= run["created"] and not is_open:
                # The search's trials are spent, before those of this tuning run.
                await self._close(tuning_run_id, epoch, run, "BUDGET_SPENT")
                return
            if random.random() < 0.05:
                await parts.call(
                    self,
                    "notice",
                    tuning_run_id,
                    lambda cases: cases.plans.add_notice(
                        tuning_run_id, epoch=epoch, reason="NOTE", message="", method_used=""
                    ),
                )
        is_idle = run["ended"] > 0 and run["queued"] + run["running"] == 0
        if run["ended"] >= run["planned"]:
            await self._close(tuning_run_id, epoch, run, "BUDGET_SPENT")
        elif is_idle and random.random() < 0.1:
            await self._close(tuning_run_id, epoch, run, "SPACE_EXHAUSTED")
        elif run["succeeded"] and random.random() < 0.03:
            # Whatever is still open is cancelled. Reasons of rules and limits are the store's to give.
            await self._close(tuning_run_id, epoch, run, "SPACE_EXHAUSTED")

    async def _close(self, tuning_run_id: str, epoch: int, run: Any, reason: str) -> None:
        closing = closing_of(tuning_run_id, epoch, run, reason)
        await self._parts.call(
            self,
            "close",
            (tuning_run_id, epoch, closing.as_of_sequence),
            lambda cases: cases.plans.close_tuning_run(closing),
        )
        self._epochs.pop(tuning_run_id, None)

    async def _hand_out(self) -> None:
        parts, random = self._parts, self._parts.random
        while True:
            await parts.sleep(1.0, 5.0)
            try:
                handed_out = await parts.call(
                    self, "hand_out", "", lambda cases: cases.hand_outs.hand_out()
                )
            except CrescendoError:
                continue
            failed: list[Batch] = []
            for each in handed_out.hand_outs:
                chance = 1.0 if parts.is_calm else random.random()
                if chance < 0.05:
                    # The broker did not confirm; the message may have got through all the same.
                    failed.append(each.batch)
                if chance < 0.025 or chance >= 0.05:
                    parts.queue.put(each.batch)
                if chance > 0.95 and not parts.is_calm:
                    parts.queue.put(each.batch)
            if failed:
                try:
                    await self._recall(failed)
                except CrescendoError:
                    continue


def closing_of(tuning_run_id: str, epoch: int | None, run: Any, reason: str) -> Closing:
    """Makes the end that what was read calls for."""
    refinement = None
    if run["has_successor"] and run["succeeded"]:
        refinement = Refinement(
            target_tuning_run_id="",
            refinement_factor=0.5,
            evidence_trial_numbers=(run["best_number"],),
            best_trial_number=run["best_number"],
            parameters=(),
            space_before=SPACE,
            space_after=SPACE,
            summary="narrower",
        )
    return Closing(
        tuning_run_id=tuning_run_id,
        epoch=epoch,
        as_of_sequence=run["last_sequence"],
        state=LifecycleState.COMPLETED if run["succeeded"] else LifecycleState.FAILED,
        reason=reason if run["succeeded"] else "ALL_TRIALS_FAILED",
        message="",
        refinement=refinement,
        next_planned_trials=4,
        next_total_combinations=None,
    )
