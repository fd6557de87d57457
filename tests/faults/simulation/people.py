"""Simulated people: they start searches, again when no answer came, and pause, resume, cancel, trigger."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from services.core.budget import UNLIMITED, Budget
from services.core.errors import CrescendoError, Unavailable
from services.core.objective import EvaluationSpec
from services.core.plan import Plan, RequestKey, StagePlan, TuningRunPlan
from services.core.pruning_settings import ASHA, Pruning
from services.store.app import UseCases
from services.store.service.changing import Change
from services.store.service.extension import Extension
from tests.faults.simulation.coordinators import READ_RUN, SPACE, closing_of
from tests.faults.simulation.parts import Parts
from tests.faults.simulation.scheduler import Process

TENANT = "default"
_METHODS = ("grid_search", "random_search", "bayesian")
MODEL_RUNS = (
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
)


@dataclass(slots=True, kw_only=True)
class Wish:
    """A search somebody wants, and the id it was answered with."""

    plan: Plan
    key: RequestKey
    spec_hash: bytes
    answered: set[str] = field(default_factory=set)


class Person(Process):
    """Somebody who wants one search, and changes their mind about it."""

    def __init__(self, parts: Parts, name: str, wish: Wish, *, moods: list[str]) -> None:
        super().__init__(parts.scheduler, name)
        self._parts = parts
        self._wish = wish
        self._moods = moods
        self.spawn(self._live())

    async def _live(self) -> None:
        parts, wish = self._parts, self._wish
        identifier = ""
        while not identifier:
            await parts.sleep(0.0, 5.0)
            try:
                found = await parts.call(
                    self,
                    "start",
                    wish.key.request_id,
                    lambda cases: cases.plans.create(
                        wish.plan, tenant=TENANT, key=wish.key, spec_hash=wish.spec_hash
                    ),
                )
            except Unavailable:
                continue
            identifier = found.orchestration_id
            wish.answered.add(identifier)
        for mood in self._moods:
            await parts.sleep(1.0, 40.0)
            if mood == "trigger":
                await self._trigger(identifier)
            elif mood == "extend":
                await self._extend(identifier)
            else:
                await self._change(identifier, Change(mood))
        # Nobody leaves a search standing still for ever, even if an old pause comes through late.
        while not await self._change(identifier, Change.RESUME):
            await parts.sleep(10.0, 20.0)

    async def _change(self, identifier: str, change: Change) -> bool:
        """Makes a change. Returns: whether it was refused because the search has ended."""
        try:
            await self._parts.call(
                self,
                change.value,
                identifier,
                lambda cases: cases.plans.change(identifier, change),
            )
        except Unavailable:
            return False
        except CrescendoError:
            return True
        return False

    async def _extend(self, identifier: str) -> None:
        parts, random = self._parts, self._parts.random
        extension = Extension(
            trials=random.choice((1, 2, 3)),
            seconds=random.choice((0.0, 0.0, 20.0)),
            failed_trials=random.choice((0, 0, 1)),
            cost=random.choice((0.0, 0.0, 50.0)),
        )
        key = RequestKey(rpc="ExtendOrchestration", request_id=parts.new_id(), body_hash=b"more")
        for _ in range(10):
            try:
                await parts.call(
                    self,
                    "extend",
                    (identifier, extension),
                    lambda cases: cases.plans.extend(identifier, extension, tenant=TENANT, key=key),
                )
            except Unavailable:
                continue
            except CrescendoError:
                return
            return

    async def _trigger(self, identifier: str) -> None:
        parts = self._parts

        async def trigger(cases: UseCases) -> None:
            running = await parts.database.rows(
                "SELECT tuning_run_id FROM crescendo.tuning_runs"
                " WHERE orchestration_id = $1 AND state IN ('running', 'paused') AND succeeded > 0"
                " ORDER BY stage_index, position",
                identifier,
            )
            for row in running:
                (run,) = await parts.database.rows(READ_RUN, row["tuning_run_id"])
                closing = closing_of(row["tuning_run_id"], None, run, "MANUAL")
                await cases.plans.close_tuning_run(closing)

        try:
            await parts.call(self, "trigger", identifier, trigger)
        except CrescendoError:
            return


PRUNING = Pruning(rule=ASHA, reduction_factor=2, max_steps=2)


def random_wish(parts: Parts, *, study: str) -> Wish:
    """Makes a small search, of one to three stages."""
    random = parts.random
    stages = []
    pruning = PRUNING if random.random() < 0.3 else None
    methods = random.choice((_METHODS, _METHODS[1:], _METHODS[2:]))
    for index in range(min(len(methods), random.choice((1, 1, 2, 2, 3)))):
        models = MODEL_RUNS[: random.choice((1, 1, 2))]
        stages.append(
            StagePlan(
                method=methods[index],
                tuning_runs=tuple(
                    replace(_run_plan(each, random.randint(1, 8)), pruning=pruning)
                    for each in models
                ),
                max_active_tuning_runs=random.choice((0, 0, 1)),
                refinement_factor=0.3 if index else None,
            )
        )
    plan = Plan(
        workflow="progressive_search" if len(stages) > 1 else "tuning",
        study_name=study,
        stages=tuple(stages),
        scoring_metric="accuracy",
        cv_folds=2,
        random_state=42,
        max_concurrent_trials=random.choice((0, 0, 1, 2, 3)),
        budget=_random_budget(random),
    )
    key = RequestKey(rpc="StartProgressiveSearch", request_id=parts.new_id(), body_hash=b"body")
    return Wish(plan=plan, key=key, spec_hash=b"spec")


def asking_for_more(plan: Plan) -> Plan:
    """Gives the same plan with two more trials for each tuning run of its last stage."""
    last = plan.stages[-1]
    runs = tuple(
        replace(each, trial_budget=each.planned_trials + 2, planned_trials=each.planned_trials + 2)
        for each in last.tuning_runs
    )
    return replace(plan, stages=(*plan.stages[:-1], replace(last, tuning_runs=runs)))


def _random_budget(random: Random) -> Budget:
    if random.random() < 0.4:
        return UNLIMITED
    priced = random.random() < 0.5
    limited = priced and random.random() < 0.6
    return Budget(
        max_trials=random.choice((None, None, 3, 7)),
        max_failed_trials=random.choice((None, None, 0, 2)),
        max_seconds=random.choice((None, None, 25.0, 90.0)),
        # A price of 1 for a second.
        price_per_hour=3600.0 if priced else None,
        trial_timeout_seconds=40.0 if limited else random.choice((None, 40.0)),
        max_cost=random.choice((40.0, 130.0, 400.0)) if limited else None,
    )


def _run_plan(model_run_id: str, planned: int) -> TuningRunPlan:
    return TuningRunPlan(
        model_run_id=model_run_id,
        model_type="svm_classifier",
        space=SPACE,
        trial_budget=planned,
        planned_trials=planned,
        total_combinations=None,
        evaluation=EvaluationSpec(
            dataset_id="simulated",
            dataset_hash="0" * 64,
            model_type="svm_classifier",
            cv_folds=2,
            metrics=("accuracy",),
            random_state=42,
        ),
    )
