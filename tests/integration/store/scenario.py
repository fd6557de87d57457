"""Steps that tests of the store are made of: plans, trials, workers, and the invariants."""

from __future__ import annotations

import asyncio
import itertools
import math
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from services.common.convert.events import payload_from_proto
from services.common.convert.values import assignment_to_proto
from services.core.budget import UNLIMITED, Budget
from services.core.event import OrchestrationChanged, Payload, TrialFinished, TrialsQueued
from services.core.objective import EvaluationSpec
from services.core.plan import LifecycleState, Plan, RequestKey, StagePlan, TuningRunPlan
from services.core.refinement import Refinement
from services.core.run import Orchestration
from services.core.space import FloatRange, Grid, Parameter, SearchSpace
from services.core.trial import Failure, FailureKind, SplitScores, TrialKey, TrialResult, TrialState
from services.store.adapters.postgres.database import Database
from services.store.app import UseCases
from services.store.ports.records import NewTrial
from services.store.ports.results import Claimed, CreatedTrials, FinishOutcome
from services.store.service.model_runs import ModelRunRequest
from services.store.service.plans import Closing
from services.store.service.watch import Page
from tuning.v1 import event_pb2

TENANT = "default"
SPACE = SearchSpace(parameters=(Parameter(name="C", domain=Grid(values=(0.1, 1.0, 10.0))),))
REFINED = SearchSpace(parameters=(Parameter(name="C", domain=FloatRange(low=0.5, high=2.0)),))


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Waits for a condition, at most so long."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 (the condition is another process's)
            await asyncio.sleep(0.01)


def trial_key(identifier: str, number: int, attempt: int = 0) -> TrialKey:
    return TrialKey(orchestration_id=identifier, number=number, attempt=attempt)


def new_trials(count: int, first: int = 0, *, candidate: bool = True) -> list[NewTrial]:
    """Makes suggestions; each has its own C."""
    return [
        NewTrial(
            parameters=assignment_to_proto({"C": float(index)}).SerializeToString(),
            candidate_index=index if candidate else None,
            phase="grid",
            suggestion_index=index,
            suggested_at_sequence=1,
        )
        for index in range(first, first + count)
    ]


def success(
    orchestration_id: str, number: int, *scores: float, attempt: int = 0, seconds: float = 0.01
) -> TrialResult:
    return TrialResult(
        trial=TrialKey(orchestration_id=orchestration_id, number=number, attempt=attempt),
        state=TrialState.SUCCEEDED,
        # One score stands for both splits.
        metrics=(
            SplitScores(
                metric="accuracy", scores=scores * 2 if len(scores) == 1 else scores or (0.5, 0.6)
            ),
        ),
        fit_seconds=seconds / 2,
        score_seconds=seconds / 4,
        duration_seconds=seconds,
    )


def failure(
    orchestration_id: str,
    number: int,
    kind: FailureKind = FailureKind.EXCEPTION,
    *,
    attempt: int = 0,
    message: str = "ValueError: no",
) -> TrialResult:
    return TrialResult(
        trial=TrialKey(orchestration_id=orchestration_id, number=number, attempt=attempt),
        state=TrialState.FAILED,
        failure=Failure(kind=kind, message=message),
        duration_seconds=0.01,
    )


class Scenario:
    """Drives use cases as coordinator and workers would."""

    def __init__(self, cases: UseCases, database: Database) -> None:
        self.cases = cases
        self.database = database
        self._sessions: list[str] = []
        self._claimed_under: dict[TrialKey, str] = {}

    async def model_run(self, model_type: str = "svm_classifier") -> str:
        model_run = await self.cases.model_runs.create(
            ModelRunRequest(
                experiment="tests",
                dataset_id="sklearn:iris",
                model_type=model_type,
                fixed_parameters={},
                steps=(),
            ),
            tenant=TENANT,
            key=None,
            validate_only=False,
        )
        return model_run.model_run_id

    def run_plan(
        self, model_run_id: str, planned: int = 3, combinations: int | None = 3
    ) -> TuningRunPlan:
        return TuningRunPlan(
            model_run_id=model_run_id,
            model_type="svm_classifier",
            space=SPACE,
            trial_budget=planned,
            planned_trials=planned,
            total_combinations=combinations,
            evaluation=EvaluationSpec(
                dataset_id="sklearn:iris",
                dataset_hash="0" * 64,
                model_type="svm_classifier",
                cv_folds=2,
                metrics=("accuracy",),
                random_state=42,
            ),
        )

    async def plan(
        self,
        *,
        stages: Sequence[int] = (1,),
        planned: int = 3,
        max_active: int = 0,
        max_concurrent: int = 0,
        study_name: str = "",
        notices: tuple[str, ...] = (),
        budget: Budget = UNLIMITED,
        methods: Sequence[str] = ("grid_search", "random_search", "bayesian"),
        combinations: int | None = 3,
        models: Sequence[str] = (),
    ) -> Plan:
        """Makes a plan; `stages` counts the tuning runs of each."""
        models = models or [await self.model_run() for _ in range(max(stages))]
        return Plan(
            workflow="progressive_search" if len(stages) > 1 else "tuning",
            study_name=study_name,
            stages=tuple(
                StagePlan(
                    method=methods[index % len(methods)],
                    tuning_runs=tuple(
                        self.run_plan(each, planned, combinations) for each in models[:count]
                    ),
                    max_active_tuning_runs=max_active,
                    refinement_factor=0.3 if index else None,
                )
                for index, count in enumerate(stages)
            ),
            scoring_metric="accuracy",
            cv_folds=2,
            random_state=42,
            max_concurrent_trials=max_concurrent,
            notices=notices,
            budget=budget,
        )

    async def start(self, plan: Plan | None = None, **options: Any) -> Orchestration:
        plan = plan or await self.plan(**options)
        return await self.cases.plans.create(plan, tenant=TENANT, key=None, spec_hash=b"spec")

    def key(self, body: bytes = b"body") -> RequestKey:
        return RequestKey(
            rpc="StartProgressiveSearch", request_id=str(uuid.uuid4()), body_hash=body
        )

    async def lease(self, tuning_run_id: str, coordinator: str = "c1") -> int:
        """Takes searcher leases. Returns: the epoch for one tuning run."""
        leases = await self.cases.searchers.acquire(coordinator, held=[], max_new=100)
        return {each.tuning_run_id: each.epoch for each in leases}[tuning_run_id]

    async def queue(self, tuning_run_id: str, count: int, first: int = 0) -> CreatedTrials:
        """Creates trials under the epoch there is."""
        async with self.database.reading() as connection:
            epoch = await connection.fetchval(
                "SELECT searcher_epoch FROM crescendo.tuning_runs WHERE tuning_run_id = $1",
                tuning_run_id,
            )
        return await self.cases.creation.create(
            tuning_run_id, epoch=epoch, trials=new_trials(count, first)
        )

    async def session(self, slots: int = 2, name: str = "w1", worker_class: str = "default") -> str:
        session = await self.cases.sessions.register(
            worker_class=worker_class, worker_name=name, slots=slots
        )
        self._sessions.append(session.session_id)
        return session.session_id

    async def claim(
        self,
        session_id: str,
        run: Any,
        numbers: Sequence[int],
        *,
        attempt: int = 0,
        claim_id: str = "",
    ) -> Claimed:
        claimed = await self.cases.claims.claim(
            session_id=session_id,
            claim_id=claim_id or str(uuid.uuid4()),
            orchestration_id=run.orchestration_id,
            tuning_run_id=run.tuning_run_id,
            trials=[(number, attempt) for number in numbers],
        )
        for each in claimed.trials:
            key = trial_key(run.orchestration_id, each.number, each.attempt)
            self._claimed_under[key] = session_id
        return claimed

    async def finish(self, *results: TrialResult, session_id: str = "") -> list[FinishOutcome]:
        """Tells results under the sessions that claimed their trials, or all under one."""
        latest = self._sessions[-1] if self._sessions else str(uuid.uuid4())
        outcomes: list[FinishOutcome] = []
        for sender, group in itertools.groupby(
            results, lambda each: session_id or self._claimed_under.get(each.trial, latest)
        ):
            outcomes += (await self.cases.results.finish(sender, list(group))).outcomes
        return outcomes

    async def started(self, count: int = 3, **options: Any) -> tuple[Orchestration, Any, str]:
        """An orchestration whose first tuning run has claimed trials 0 … count − 1."""
        orchestration = await self.start(**options)
        run = orchestration.stages[0].tuning_runs[0]
        await self.queue(run.tuning_run_id, count)
        session_id = await self.session(slots=max(2, count))
        claimed = await self.claim(session_id, run, range(count))
        assert len(claimed.trials) == count
        return orchestration, run, session_id

    async def close(
        self,
        orchestration: Orchestration,
        run: Any,
        state: LifecycleState = LifecycleState.COMPLETED,
        *,
        as_of: int | None = None,
        refinement: Refinement | None = None,
        epoch: int | None = None,
    ) -> Orchestration:
        now = await self.cases.runs.orchestration(orchestration.orchestration_id)
        failed = state is LifecycleState.FAILED
        return await self.cases.plans.close_tuning_run(
            Closing(
                tuning_run_id=run.tuning_run_id,
                epoch=epoch,
                as_of_sequence=now.last_sequence if as_of is None else as_of,
                state=state,
                reason="ALL_TRIALS_FAILED" if failed else "BUDGET_SPENT",
                message="",
                refinement=refinement,
                next_planned_trials=5,
                next_total_combinations=None,
            )
        )

    def refinement(self, target: str = "") -> Refinement:
        return Refinement(
            target_tuning_run_id=target,
            refinement_factor=0.3,
            evidence_trial_numbers=(0,),
            best_trial_number=0,
            parameters=(),
            space_before=SPACE,
            space_after=REFINED,
            summary="C narrows to 0.5 … 2",
        )

    async def events(self, orchestration_id: str) -> list[tuple[int, Payload]]:
        """Reads the whole log."""
        async with self.database.reading() as connection:
            found = await connection.fetch(
                "SELECT sequence, payload_proto FROM crescendo.events"
                " WHERE orchestration_id = $1 ORDER BY sequence",
                orchestration_id,
            )
        return [
            (row["sequence"], payload_from_proto(event_pb2.Event.FromString(row["payload_proto"])))
            for row in found
        ]

    async def watched(self, orchestration_id: str, after: int) -> list[int]:
        """Watches to the end. Returns: the sequence numbers seen."""
        seen: list[int] = []
        async with aclosing(
            self.cases.watching.watch(orchestration_id, after_sequence=after)
        ) as parts:
            async for part in parts:
                if isinstance(part, Page):
                    seen += [each.sequence for each in part.events]
        return seen

    async def watched_until(self, orchestration_id: str, sequence: int) -> None:
        """Waits until the log has this many events."""

        async def long_enough() -> bool:
            now = await self.cases.runs.orchestration(orchestration_id)
            return now.last_sequence >= sequence

        await until(long_enough)

    async def check(self, orchestration_id: str) -> None:
        """Checks the invariants: I1 to I3 and I5 of an orchestration at rest or at work."""
        events = await self.events(orchestration_id)
        assert [sequence for sequence, _ in events] == list(range(1, len(events) + 1))
        async with self.database.reading() as connection:
            trials = await connection.fetch(
                "SELECT * FROM crescendo.trials WHERE orchestration_id = $1 ORDER BY number",
                orchestration_id,
            )
            runs = await connection.fetch(
                "SELECT * FROM crescendo.tuning_runs WHERE orchestration_id = $1", orchestration_id
            )
            record = await connection.fetchrow(
                "SELECT * FROM crescendo.orchestrations WHERE orchestration_id = $1",
                orchestration_id,
            )
        assert record["last_sequence"] == len(events)
        assert [row["number"] for row in trials] == list(range(len(trials)))
        for state in TrialState:
            in_rows = sum(row["state"] == state.value for row in trials)
            assert record[state.value] == in_rows, state
            assert sum(run[state.value] for run in runs) == in_rows, state
        ended = [payload for _, payload in events if isinstance(payload, TrialFinished)]
        terminal = {row["number"] for row in trials if TrialState(row["state"]).is_terminal}
        assert len(ended) == len(terminal)
        assert {each.number for each in ended} == terminal
        queued = [payload for _, payload in events if isinstance(payload, TrialsQueued)]
        assert sum(each.count for each in queued) == len(trials)
        scored = [row for row in trials if row["score"] is not None]
        best = max((row["score"] for row in scored), default=None)
        assert record["best_score"] == best
        await self._check_budget(record)
        if LifecycleState(record["state"]).is_terminal:
            assert record["queued"] == record["running"] == 0
            assert record["active_since"] is None
            assert record["deadline_at"] is None
            assert all(LifecycleState(run["state"]).is_terminal for run in runs)
            _, last = events[-1]
            assert isinstance(last, OrchestrationChanged)
            assert last.final
        assert all(run["created"] <= run["planned"] for run in runs)
        assert record["planned"] == sum(run["planned"] for run in runs)

    async def _check_budget(self, record: Any) -> None:
        """Checks that cost and reservations are what the attempts say, and within the budget."""
        async with self.database.reading() as connection:
            costs = await connection.fetch(
                "SELECT * FROM crescendo.attempt_costs WHERE orchestration_id = $1",
                record["orchestration_id"],
            )
        assert math.isclose(
            record["cost"], math.fsum(row["charged"] for row in costs), rel_tol=1e-6, abs_tol=1e-12
        )
        reserved = [row for row in costs if row["reserved"] > 0 and not row["settled"]]
        assert record["reserved_attempts"] == len(reserved)
        if record["max_cost"] is not None and record["trial_timeout_seconds"] is not None:
            held = math.fsum(row["reserved"] for row in reserved)
            assert record["cost"] + held <= record["max_cost"] * (1 + 1e-6)
        if record["max_trials"] is not None:
            assert record["next_trial_number"] - record["copied"] <= record["max_trials"]
