"""What must hold at every moment, and once everything is quiet, whatever went wrong before."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from services.common.convert.events import payload_from_proto
from services.common.convert.values import assignment_from_proto
from services.core.event import (
    BestImproved,
    OrchestrationChanged,
    Payload,
    TrialFinished,
    TrialRequeued,
    TrialsQueued,
    TrialStarted,
)
from services.store.ports.results import Claimed, FinishOutcome
from tests.faults.simulation.database import FaultyDatabase
from tests.faults.simulation.people import Wish
from tuning.v1 import event_pb2, search_space_pb2

_ENDED = ("completed", "failed", "cancelled")
_STATES = ("queued", "running", "succeeded", "failed", "pruned", "cancelled")
_CONCURRENT = """
SELECT o.orchestration_id, o.max_concurrent_trials, count(*) AS running
FROM crescendo.trials AS t
JOIN crescendo.orchestrations AS o USING (orchestration_id)
WHERE t.state = 'running' AND o.max_concurrent_trials > 0
GROUP BY 1, 2
HAVING count(*) > o.max_concurrent_trials
"""


class Violation(AssertionError):
    """A promise that was broken."""


class Invariants:
    """Watches every call of a world, and checks its end."""

    def __init__(self, database: FaultyDatabase) -> None:
        self._database = database
        self._owners: dict[tuple[str, int, int], tuple[str, str]] = {}
        self._done: Counter[tuple[str, int, int]] = Counter()

    async def observe(self, name: str, arguments: Any, answer: Any) -> None:
        """Looks at one call that was executed. Raises: Violation."""
        if name == "claim" and isinstance(answer, Claimed):
            session, claim_id, orchestration_id, _ = arguments
            for each in answer.trials:
                key = (orchestration_id, each.number, each.attempt)
                owner = self._owners.setdefault(key, (session, claim_id))
                _check(owner == (session, claim_id), f"I6: {key} was given to two claims")
            crowded = await self._database.rows(_CONCURRENT)
            _check(not crowded, f"max_concurrent_trials passed: {crowded}")
        if name == "finish" and isinstance(answer, list):
            _, told = arguments
            for (trial, _), outcome in zip(told, answer, strict=True):
                if outcome is FinishOutcome.DONE:
                    key = (trial.orchestration_id, trial.number, trial.attempt)
                    self._done[key] += 1
                    _check(self._done[key] == 1, f"I1: {key} was taken as done twice")

    async def check_end(self, wishes: list[Wish]) -> None:
        """Checks a world in which everything has ended. Raises: Violation."""
        read = self._database.rows
        orchestrations = await read("SELECT * FROM crescendo.orchestrations")
        runs = await read("SELECT * FROM crescendo.tuning_runs ORDER BY stage_index, position")
        stages = await read("SELECT * FROM crescendo.stages")
        trials = await read("SELECT * FROM crescendo.trials ORDER BY number")
        events = await read("SELECT * FROM crescendo.events ORDER BY sequence")
        costs = await read("SELECT * FROM crescendo.attempt_costs")
        await self._check_prunes()
        _check_wishes(wishes, {row["orchestration_id"] for row in orchestrations})
        for row in orchestrations:
            identifier = row["orchestration_id"]
            await _OneOrchestration(
                row,
                [each for each in runs if each["orchestration_id"] == identifier],
                [each for each in stages if each["orchestration_id"] == identifier],
                [each for each in trials if each["orchestration_id"] == identifier],
                [each for each in events if each["orchestration_id"] == identifier],
                [each for each in costs if each["orchestration_id"] == identifier],
            ).check()
        left = await read("SELECT session_id FROM crescendo.sessions WHERE NOT settled")
        _check(not left, f"I9: sessions of workers that are gone never ended: {left}")

    async def _check_prunes(self) -> None:
        """A trial is PRUNED by a decision of its own attempt, and by no other."""
        baseless = await self._database.rows(
            "SELECT number, finished_attempt FROM crescendo.trials AS trial WHERE state = 'pruned'"
            " AND NOT EXISTS (SELECT FROM crescendo.trial_steps AS step"
            "     WHERE step.orchestration_id = trial.orchestration_id AND step.stops"
            "     AND step.number = trial.number AND step.attempt = trial.finished_attempt)"
        )
        _check(not baseless, f"I2: trials are PRUNED that nothing stopped: {baseless}")


def _check_wishes(wishes: list[Wish], existing: set[str]) -> None:
    """I8: what was asked for with one request id, or one study name, is there exactly once."""
    answered: set[str] = set()
    names: dict[str, str] = {}
    for wish in wishes:
        _check(len(wish.answered) == 1, f"I8: a request was answered with {wish.answered}")
        (identifier,) = wish.answered
        answered.add(identifier)
        name = wish.plan.study_name
        if name:
            _check(names.setdefault(name, identifier) == identifier, f"I8: study {name} is twofold")
    expected = len({wish.plan.study_name or wish.key.request_id for wish in wishes})
    _check(
        existing == answered and len(existing) == expected,
        f"I8: {len(existing)} orchestrations exist, {expected} were asked for",
    )


class _OneOrchestration:
    """The rows and the log of one orchestration that has ended."""

    def __init__(
        self,
        row: Any,
        runs: list[Any],
        stages: list[Any],
        trials: list[Any],
        events: list[Any],
        costs: list[Any],
    ) -> None:
        self._row = row
        self._runs = runs
        self._stages = stages
        self._trials = trials
        self._costs = costs
        self._sequences = [each["sequence"] for each in events]
        self._events: list[Payload] = [
            payload_from_proto(event_pb2.Event.FromString(each["payload_proto"])) for each in events
        ]

    async def check(self) -> None:
        self._check_states()
        self._check_counters()
        self._check_budgets()
        self._check_costs()
        self._check_best()
        self._check_log()
        self._check_trials()

    def _check_states(self) -> None:
        row = self._row
        states = [row["state"], *(each["state"] for each in (*self._stages, *self._runs))]
        _check(all(each in _ENDED for each in states), f"not everything ended: {states}")
        _check(row["state"] != "completed" or row["succeeded"] > 0, "COMPLETED without any success")
        by_run = {each["tuning_run_id"]: each for each in self._runs}
        for run in self._runs:
            ok = run["state"] != "completed" or run["succeeded"] > 0
            _check(ok, f"tuning run {run['position']} is COMPLETED without any success")
        for trial in self._trials:
            _check(trial["tuning_run_id"] in by_run, "a trial of no tuning run")

    def _check_counters(self) -> None:
        for state in _STATES:
            rows = sum(each["state"] == state for each in self._trials)
            told = (self._row[state], sum(each[state] for each in self._runs))
            _check(told == (rows, rows), f"I2: {rows} trials are {state}, the counters say {told}")
        for run in self._runs:
            mine = [t for t in self._trials if t["tuning_run_id"] == run["tuning_run_id"]]
            for state in _STATES:
                rows = sum(each["state"] == state for each in mine)
                _check(run[state] == rows, f"I2: a tuning run counts {run[state]} {state}: {rows}")
        open_trials = self._row["queued"] + self._row["running"]
        _check(open_trials == 0, f"I1: {open_trials} trials never ended")
        planned = sum(each["planned"] for each in self._runs)
        _check(self._row["planned"] == planned, f"planned is {self._row['planned']}: {planned}")

    def _check_budgets(self) -> None:
        numbers = [each["number"] for each in self._trials]
        _check(numbers == list(range(len(numbers))), f"trials are numbered {numbers}")
        for run in self._runs:
            mine = [t for t in self._trials if t["tuning_run_id"] == run["tuning_run_id"]]
            indices = [each["suggestion_index"] for each in mine]
            _check(indices == list(range(run["created"])), f"suggestions {indices}")
            _check(len(mine) <= run["planned"], f"{len(mine)} trials of {run['planned']} planned")
            if run["reason"] == "BUDGET_SPENT" and run["state"] == "completed":
                _check(len(mine) == run["planned"], f"{len(mine)} trials, not {run['planned']}")
            for each in mine:
                if each["copied_from"] is not None:
                    self._check_copy(each)
                    continue
                point = assignment_from_proto(
                    search_space_pb2.Assignment.FromString(each["parameters_proto"])
                )
                same = point == {"C": float(each["suggestion_index"])}
                _check(same, f"suggestion {each['suggestion_index']} became {point}")

        row = self._row
        if row["max_trials"] is not None:
            spent = sum(each["copied_from"] is None for each in self._trials)
            _check(spent <= row["max_trials"], f"{spent} trials")
        if row["max_failed_trials"] is not None and row["failed"] > row["max_failed_trials"]:
            told = (row["state"], row["reason"])
            _check(told == ("failed", "TOO_MANY_FAILURES"), f"{row['failed']} failures, {told}")

    def _check_copy(self, copy: Any) -> None:
        number, source = copy["number"], self._trials[copy["copied_from"]]
        _check(copy["state"] == "succeeded", f"copy {number} is {copy['state']}")
        for name in ("state", "score", "metrics_proto", "parameters_proto"):
            _check(copy[name] == source[name], f"copy {number} has another {name}")
        _check(copy["started_at"] is None, f"copy {number} was run")
        _check(copy["attempt"] == 0, f"copy {number} was tried again")

    def _check_costs(self) -> None:
        row, costs = self._row, self._costs
        charged = math.fsum(each["charged"] for each in costs)
        _check(math.isclose(row["cost"], charged, abs_tol=1e-6), f"cost {row['cost']}: {charged}")
        held = sum(not each["settled"] and each["reserved"] > 0 for each in costs)
        _check(row["reserved_attempts"] == held, f"{row['reserved_attempts']} reserved: {held}")
        if row["max_cost"] is not None:
            _check(row["cost"] <= row["max_cost"] + 1e-6, f"cost {row['cost']}")
        if row["price_per_hour"] is None:
            return
        for trial in self._trials:
            mine = [each for each in costs if each["number"] == trial["number"]]
            # Every attempt that ran is there: those given up, and the last one if it was claimed.
            attempts = {each["attempt"] for each in mine}
            _check(set(range(trial["attempt"])) <= attempts, f"costs of attempts {attempts}")
            if trial["copied_from"] is not None:
                _check(not mine, f"copy {trial['number']} cost something")
            elif trial["state"] == "succeeded":
                _check(trial["finished_attempt"] in attempts, f"costs of attempts {attempts}")

    def _check_best(self) -> None:
        scores = [each["score"] for each in self._trials if each["score"] is not None]
        _check(all(math.isfinite(each) for each in scores), "I5: a score is not finite")
        best = max(scores, default=None)
        _check(self._row["best_score"] == best, f"I5: best is {self._row['best_score']}: {best}")
        told = [each.best.score for each in self._events if isinstance(each, BestImproved)]
        _check((told[-1] if told else None) == best, f"I5: the log's best is {told[-1:]}: {best}")
        if best is not None:
            rank = {each["tuning_run_id"]: each["position"] for each in self._runs}
            first = min(
                (
                    rank[each["tuning_run_id"]],
                    each["stage_index"],
                    each["candidate_index"],
                    each["number"],
                )
                for each in self._trials
                if each["score"] == best
            )
            number = self._row["best_number"]
            _check(number == first[-1], f"I5: best is trial {number}, not {first[-1]}")

    def _check_log(self) -> None:
        expected = list(range(1, len(self._sequences) + 1))
        _check(self._sequences == expected, f"I3: sequences are {self._sequences}")
        _check(self._row["last_sequence"] == len(expected), "I3: the row's last sequence")
        finals = [
            place
            for place, each in enumerate(self._events)
            if isinstance(each, OrchestrationChanged) and each.final
        ]
        _check(bool(finals) and finals[-1] == len(self._events) - 1, f"final events at {finals}")
        queued = sum(each.count for each in self._events if isinstance(each, TrialsQueued))
        _check(queued == len(self._trials), f"I2: {queued} trials were told as queued")

    def _check_trials(self) -> None:
        ends: dict[int, TrialFinished] = {}
        attempts: Counter[int] = Counter()
        for each in self._events:
            if isinstance(each, TrialFinished):
                _check(each.number not in ends, f"I1: trial {each.number} ended twice")
                ends[each.number] = each
            elif isinstance(each, TrialRequeued):
                attempts[each.number] += 1
                _check(each.number not in ends, f"I1: trial {each.number} was queued after its end")
                _check(
                    each.attempt == attempts[each.number], f"I6: attempts of trial {each.number}"
                )
            elif isinstance(each, TrialStarted):
                _check(each.number not in ends, f"I1: trial {each.number} started after its end")
        for row in self._trials:
            number = row["number"]
            _check(number in ends, f"I1: the log does not tell the end of trial {number}")
            end = ends[number]
            _check(end.state.value == row["state"], f"I2: trial {number} is {row['state']}")
            _check(end.score == row["score"], f"I2: trial {number} has {row['score']}")
            _check(row["attempt"] == attempts[number], f"I6: attempt of trial {number}")
            strikes = (row["lost_strikes"], row["crash_strikes"], row["oom_strikes"])
            _check(strikes <= (5, 1, 1) and max(strikes[1:]) <= 1, f"{strikes} strikes")


def _check(holds: bool, words: str) -> None:
    if not holds:
        raise Violation(words)
