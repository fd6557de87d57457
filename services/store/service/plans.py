"""Plans: creating orchestrations, ending tuning runs, pausing, resuming, cancelling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from services.core.errors import AlreadyExists, Conflict, FieldViolation, InvalidRequest, WrongState
from services.core.event import Notice, RefinementMade
from services.core.plan import LifecycleState, Plan, RequestKey
from services.core.refinement import Refinement
from services.core.run import Orchestration, TrialCounts
from services.store.ports.reading import RunReader
from services.store.ports.records import TuningRunRecord
from services.store.ports.transaction import EarlierRequest, Storage, Study, Transaction
from services.store.ports.workforce import ChangeSignal
from services.store.service import lifecycle
from services.store.service.identifiers import canonical_id, new_id, not_found
from services.store.service.ledger import Ledger

_ACTIVE = (LifecycleState.RUNNING, LifecycleState.PAUSED)


class Change(Enum):
    """What people can do with an orchestration."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The end of one tuning run.

    Attributes:
        epoch: of the searcher lease; None for an end by hand.
        as_of_sequence: last event the decision had seen.
        state: COMPLETED or FAILED.
        refinement: the space of the same model's tuning run in the next stage; None keeps it.
        next_planned_trials: trials that tuning run will run on the refined space.
        next_total_combinations: points of the refined space; None when infinite.
    """

    tuning_run_id: str
    epoch: int | None
    as_of_sequence: int
    state: LifecycleState
    reason: str
    message: str
    refinement: Refinement | None
    next_planned_trials: int
    next_total_combinations: int | None


def check_same_request(earlier: EarlierRequest, key: RequestKey) -> None:
    """Raises: AlreadyExists: the request id was used with another body."""
    if earlier.body_hash != key.body_hash:
        raise AlreadyExists(
            f"request id {key.request_id} was used for another {key.rpc} request;"
            " send a new id with a new request",
            reason="REQUEST_ID_REUSED",
            metadata={"request_id": key.request_id, "rpc": key.rpc},
        )


class Plans:
    """Keeps what coordinators decide about orchestrations."""

    def __init__(self, storage: Storage, reader: RunReader, signal: ChangeSignal) -> None:
        self._storage = storage
        self._reader = reader
        self._signal = signal

    async def find_request(self, tenant: str, key: RequestKey) -> Orchestration | None:
        """Gives what an earlier request with this id made; None when there was none.

        Raises: AlreadyExists: the id was used with another body.
        """
        earlier = await self._reader.find_request(tenant, key)
        if earlier is None:
            return None
        check_same_request(earlier, key)
        return await self._read(earlier.resource_id)

    async def create(
        self, plan: Plan, *, tenant: str, key: RequestKey | None, spec_hash: bytes
    ) -> Orchestration:
        """Creates an orchestration with everything in it, in one transaction, and starts its first stage.

        Idempotent by request id and by study name.

        Raises:
            InvalidRequest: the plan has no stages or a stage no tuning runs.
            AlreadyExists: the request id or the study name is taken by something else.
            NotFound: a model run does not exist.
        """
        _check_plan(plan)
        orchestration_id = new_id()
        async with self._storage.transaction() as tx:
            found = await self._insert(
                tx, plan, tenant=tenant, key=key, spec_hash=spec_hash, new=orchestration_id
            )
            if found is None:
                ledger = await _load(tx, orchestration_id)
                ledger.update(
                    counts=TrialCounts(total=sum(run.counts.total for run in ledger.runs.values()))
                )
                lifecycle.begin(ledger)
                for notice in plan.notices:
                    reason, _, words = notice.partition(":")
                    ledger.append(Notice(reason=reason.strip(), message=words.strip()))
                await ledger.save()
        if found is None:
            self._signal.committed(orchestration_id)
        return await self._read(found or orchestration_id)

    async def _insert(
        self,
        tx: Transaction,
        plan: Plan,
        *,
        tenant: str,
        key: RequestKey | None,
        spec_hash: bytes,
        new: str,
    ) -> str | None:
        """Inserts the plan. Returns: None, or the id of the orchestration that is there already."""
        if key is not None:
            earlier = await tx.reserve_request(tenant, key, resource_id=new)
            if earlier is not None:
                check_same_request(earlier, key)
                return earlier.resource_id
        study = await tx.insert_plan(
            plan,
            tenant=tenant,
            orchestration_id=new,
            tuning_run_ids=[[new_id() for _ in stage.tuning_runs] for stage in plan.stages],
            spec_hash=spec_hash,
        )
        if study is None:
            return None
        _check_same_study(study, plan, spec_hash)
        if key is not None:
            await tx.redirect_request(tenant, key, resource_id=study.orchestration_id)
        return study.orchestration_id

    async def close_tuning_run(self, closing: Closing) -> Orchestration:
        """Ends a tuning run, stores its refinement and starts what comes next, in one transaction.

        Raises:
            NotFound: there is no such tuning run.
            Conflict: the epoch is old, or a trial of it ended after `as_of_sequence`.
            WrongState: it does not run, or is to be COMPLETED without a success.
            InvalidRequest: the state is not one to end in, or the refinement has no target.
        """
        if closing.state not in (LifecycleState.COMPLETED, LifecycleState.FAILED):
            raise InvalidRequest(
                [
                    FieldViolation(
                        field="state",
                        description=f"is {closing.state.name}, must be COMPLETED or FAILED",
                    )
                ]
            )
        tuning_run_id = canonical_id("tuning run", closing.tuning_run_id)
        orchestration_id = await self._storage.orchestration_of(tuning_run_id)
        if orchestration_id is None:
            raise not_found("tuning run", tuning_run_id)
        async with self._storage.transaction() as tx:
            ledger = await _load(tx, orchestration_id)
            _check_closing(ledger, ledger.runs[tuning_run_id], closing)
            stop = await lifecycle.cancel_open_trials(tx, ledger, [tuning_run_id])
            if closing.refinement is not None:
                await _refine(tx, ledger, tuning_run_id, closing.refinement, closing)
            message = closing.message
            if closing.state is LifecycleState.FAILED and not message:
                message = await tx.most_frequent_failure(tuning_run_id)
            lifecycle.end_run(
                ledger, tuning_run_id, closing.state, reason=closing.reason, message=message
            )
            await ledger.save()
        self._committed(orchestration_id, stop=stop)
        return await self._read(orchestration_id)

    async def change(self, orchestration_id: str, change: Change) -> Orchestration:
        """Pauses, resumes or cancels; the same change twice is the same as once.

        Raises: NotFound; WrongState: the orchestration has ended in another state.
        """
        orchestration_id = canonical_id("orchestration", orchestration_id)
        stop = False
        async with self._storage.transaction() as tx:
            ledger = await _load(tx, orchestration_id)
            state = ledger.orchestration.state
            if state.is_terminal and not (
                change is Change.CANCEL and state is LifecycleState.CANCELLED
            ):
                raise lifecycle.refuse_ended(
                    "orchestration", orchestration_id, state, f"be {_PAST[change]}"
                )
            if change is Change.PAUSE and state is LifecycleState.RUNNING:
                lifecycle.pause(ledger)
            elif change is Change.RESUME and state is LifecycleState.PAUSED:
                lifecycle.resume(ledger)
                # Messages sent before the pause may be gone from the queue: workers hand back what
                # they cannot claim.
                await tx.clear_dispatch(orchestration_id, None)
            elif change is Change.CANCEL and not state.is_terminal:
                stop = await lifecycle.cancel_open_trials(tx, ledger, sorted(ledger.runs))
                lifecycle.cancel(ledger)
            await ledger.save()
        self._committed(orchestration_id, stop=stop)
        return await self._read(orchestration_id)

    async def add_notice(
        self, tuning_run_id: str, *, epoch: int, reason: str, message: str, method_used: str
    ) -> None:
        """Appends a notice to the log and records the method in use, unless that is empty.

        Raises: NotFound; Conflict: the epoch is old; WrongState: the tuning run has ended.
        """
        tuning_run_id = canonical_id("tuning run", tuning_run_id)
        orchestration_id = await self._storage.orchestration_of(tuning_run_id)
        if orchestration_id is None:
            raise not_found("tuning run", tuning_run_id)
        async with self._storage.transaction() as tx:
            ledger = await load_runs(tx, orchestration_id, [tuning_run_id])
            run = ledger.runs[tuning_run_id]
            check_epoch(run, epoch)
            if run.state.is_terminal:
                raise lifecycle.refuse_ended(
                    "tuning run", tuning_run_id, run.state, "be given notices"
                )
            if method_used:
                ledger.update_run(tuning_run_id, method_used=method_used)
            ledger.append(Notice(reason=reason, message=message, tuning_run_id=tuning_run_id))
            await ledger.save()
        self._signal.committed(orchestration_id)

    async def _read(self, orchestration_id: str) -> Orchestration:
        orchestration = await self._reader.orchestration(orchestration_id)
        if orchestration is None:
            raise not_found("orchestration", orchestration_id)
        return orchestration

    def _committed(self, orchestration_id: str, *, stop: bool) -> None:
        self._signal.committed(orchestration_id)
        if stop:
            self._signal.stops_requested()


_PAST = {Change.PAUSE: "paused", Change.RESUME: "resumed", Change.CANCEL: "cancelled"}


async def load_runs(tx: Transaction, orchestration_id: str, tuning_run_ids: list[str]) -> Ledger:
    """Locks an orchestration and some of its tuning runs.

    Raises: NotFound: there is no such orchestration.
    """
    record = await tx.lock_orchestration(orchestration_id)
    if record is None:
        raise not_found("orchestration", orchestration_id)
    runs = await tx.lock_tuning_runs(orchestration_id, tuning_run_ids)
    return Ledger(tx, record, runs=runs)


def check_epoch(run: TuningRunRecord, epoch: int) -> None:
    """Raises: Conflict: another coordinator has taken the searcher since."""
    if run.searcher_epoch != epoch:
        raise Conflict(
            f"the searcher of tuning run {run.tuning_run_id} is at epoch {run.searcher_epoch}, not"
            f" {epoch}: another coordinator has taken it",
            reason="EPOCH_OLD",
            metadata={"tuning_run_id": run.tuning_run_id, "epoch": str(run.searcher_epoch)},
        )


async def _load(tx: Transaction, orchestration_id: str) -> Ledger:
    record = await tx.lock_orchestration(orchestration_id)
    if record is None:
        raise not_found("orchestration", orchestration_id)
    runs = await tx.lock_tuning_runs(orchestration_id, None)
    stages = await tx.lock_stages(orchestration_id)
    return Ledger(tx, record, runs=runs, stages=stages)


async def _refine(
    tx: Transaction, ledger: Ledger, source_id: str, refinement: Refinement, closing: Closing
) -> None:
    target = _target_of(ledger, ledger.runs[source_id], refinement.target_tuning_run_id)
    stored = replace(
        refinement,
        refinement_id=ledger.orchestration.refinement_count + 1,
        orchestration_id=ledger.orchestration.orchestration_id,
        source_tuning_run_id=source_id,
        target_tuning_run_id=target.tuning_run_id,
    )
    ledger.update(refinement_count=stored.refinement_id)
    await tx.insert_refinement(stored)
    await tx.set_space(
        target.tuning_run_id,
        space=stored.space_after,
        total_combinations=closing.next_total_combinations,
    )
    change = TrialCounts(total=closing.next_planned_trials - target.counts.total)
    ledger.count(target.tuning_run_id, change)
    ledger.append(RefinementMade(refinement=stored))


def _target_of(ledger: Ledger, source: TuningRunRecord, target_id: str) -> TuningRunRecord:
    """Finds the tuning run a refinement is for: the one named, or the same model's in the next stage."""
    for run in ledger.runs_of_stage(source.stage_index + 1):
        named = run.tuning_run_id == target_id
        if (named or not target_id) and run.model_run_id == source.model_run_id:
            return run
    raise InvalidRequest(
        [
            FieldViolation(
                field="refinement.target_tuning_run_id",
                description=f"{target_id!r} is no tuning run of the same model in the next stage",
            )
        ]
    )


def _check_plan(plan: Plan) -> None:
    violations = []
    if not plan.stages:
        violations.append(FieldViolation(field="stages", description="must not be empty"))
    for index, stage in enumerate(plan.stages):
        if not stage.tuning_runs:
            violations.append(
                FieldViolation(
                    field=f"stages[{index}].tuning_runs", description="must not be empty"
                )
            )
        for number, run in enumerate(stage.tuning_runs):
            if run.planned_trials < 1:
                violations.append(
                    FieldViolation(
                        field=f"stages[{index}].tuning_runs[{number}].planned_trials",
                        description=f"is {run.planned_trials}, must be at least 1",
                    )
                )
    if plan.max_concurrent_trials < 0:
        violations.append(
            FieldViolation(
                field="max_concurrent_trials",
                description=f"is {plan.max_concurrent_trials}, must not be negative",
            )
        )
    if violations:
        raise InvalidRequest(violations)


def _check_same_study(study: Study, plan: Plan, spec_hash: bytes) -> None:
    if study.spec_hash != spec_hash:
        raise AlreadyExists(
            f"study {plan.study_name!r} exists with another specification; choose another name"
            " or send the same request",
            reason="STUDY_EXISTS",
            metadata={"study_name": plan.study_name, "orchestration_id": study.orchestration_id},
        )


def _check_closing(ledger: Ledger, run: TuningRunRecord, closing: Closing) -> None:
    if closing.epoch is not None:
        check_epoch(run, closing.epoch)
    if run.state not in _ACTIVE:
        raise lifecycle.refuse_ended("tuning run", run.tuning_run_id, run.state, "be closed")
    if run.last_end_sequence > closing.as_of_sequence:
        raise Conflict(
            f"a trial of tuning run {run.tuning_run_id} ended at event {run.last_end_sequence},"
            f" after event {closing.as_of_sequence}, the last one the decision knew",
            reason="DECISION_OUTDATED",
            metadata={
                "tuning_run_id": run.tuning_run_id,
                "last_sequence": str(ledger.orchestration.last_sequence),
            },
        )
    if closing.state is LifecycleState.COMPLETED and run.counts.succeeded == 0:
        raise WrongState(
            f"tuning run {run.tuning_run_id} has no successful trial and cannot be COMPLETED",
            reason="NO_SUCCESS",
            metadata={"tuning_run_id": run.tuning_run_id},
        )
