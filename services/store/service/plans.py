"""Plans: creating orchestrations and studies, and every change of them that people or coordinators make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.common import request_ids
from services.core.budget import Limit
from services.core.errors import AlreadyExists, FieldViolation, InvalidRequest
from services.core.event import Notice
from services.core.plan import Plan, RequestKey
from services.core.queue_naming import problem_of_worker_class
from services.core.run import Orchestration, TrialCounts
from services.core.study import differences
from services.store.ports.reading import RunReader
from services.store.ports.transaction import EarlierRequest, Storage, Transaction
from services.store.ports.workforce import ChangeSignal
from services.store.service import lifecycle
from services.store.service.changing import Change, apply
from services.store.service.closing import Closing, check_closing, close
from services.store.service.endings import end_by_limit
from services.store.service.extension import Extension, extend, resume_study
from services.store.service.identifiers import canonical_id, new_id, not_found
from services.store.service.loading import check_epoch, load_plan, load_runs

__all__ = ["Change", "Closing", "Extension", "Plans", "check_same_request"]


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

        Idempotent by request id and by study name: a study that exists is extended by what the plan asks
        for beyond it (trials of the last stage, limits), else returned as it is.

        Raises:
            InvalidRequest: the plan has no stages or a stage no tuning runs, or no queue can be named
                after its worker class.
            AlreadyExists: the request id or the study name is taken by something else.
            NotFound: a model run does not exist.
        """
        _check_plan(plan)
        orchestration_id = new_id()
        try:
            async with self._storage.transaction() as tx:
                found = await self._insert(
                    tx, plan, tenant=tenant, key=key, spec_hash=spec_hash, new=orchestration_id
                )
                if found is None:
                    await _begin(tx, orchestration_id, plan.notices)
        except _AnotherStudy as error:
            # Read outside the transaction, which is undone: reading takes a connection of its own.
            study = await self._read(error.orchestration_id)
            raise _study_exists(study, plan) from error
        self._signal.committed(found or orchestration_id)
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
            request_id=request_ids.cause(),
        )
        if study is None:
            return None
        if study.spec_hash != spec_hash:
            raise _AnotherStudy(study.orchestration_id)
        ledger = await load_plan(tx, study.orchestration_id)
        if resume_study(ledger, plan):
            await ledger.save()
        if key is not None:
            await tx.redirect_request(tenant, key, resource_id=study.orchestration_id)
        return study.orchestration_id

    async def close_tuning_run(self, closing: Closing) -> Orchestration:
        """Ends a tuning run, stores its refinement and starts what comes next, in one transaction.

        Raises:
            NotFound: there is no such tuning run.
            Conflict: the epoch is old, a trial of it ended after `as_of_sequence`, or it was extended.
            WrongState: it does not run, is to be COMPLETED without a success, or to be BUDGET_SPENT
                while it may have more trials.
            InvalidRequest: state or reason are not ones to close with, or the refinement has no target.
        """
        check_closing(closing)
        tuning_run_id = canonical_id("tuning run", closing.tuning_run_id)
        orchestration_id = await self._storage.orchestration_of(tuning_run_id)
        if orchestration_id is None:
            raise not_found("tuning run", tuning_run_id)
        async with self._storage.transaction() as tx:
            ledger = await load_plan(tx, orchestration_id)
            if ledger.orchestration.is_overdue:
                stop = await end_by_limit(tx, ledger, Limit.SECONDS)
            else:
                stop = await close(tx, ledger, replace(closing, tuning_run_id=tuning_run_id))
            await ledger.save()
        self._committed(orchestration_id, stop=stop)
        return await self._read(orchestration_id)

    async def change(self, orchestration_id: str, change: Change) -> Orchestration:
        """Pauses, resumes or cancels; the same change twice is the same as once.

        Raises: NotFound; WrongState: the orchestration has ended in another state.
        """
        orchestration_id = canonical_id("orchestration", orchestration_id)
        async with self._storage.transaction() as tx:
            ledger = await load_plan(tx, orchestration_id)
            if ledger.orchestration.is_overdue and change is not Change.CANCEL:
                stop = await end_by_limit(tx, ledger, Limit.SECONDS)
            else:
                stop = await apply(tx, ledger, change)
            await ledger.save()
        self._committed(orchestration_id, stop=stop)
        return await self._read(orchestration_id)

    async def extend(
        self, orchestration_id: str, extension: Extension, *, tenant: str, key: RequestKey | None
    ) -> Orchestration:
        """Adds trials and to limits, in one transaction; idempotent by request id.

        Raises:
            NotFound: there is no such orchestration.
            AlreadyExists: the request id was used with another body.
            InvalidRequest: something is added to a limit that is not set, or too much.
            WrongState: it cannot be extended, or would have nothing to run: the message says why.
        """
        orchestration_id = canonical_id("orchestration", orchestration_id)
        async with self._storage.transaction() as tx:
            if not await _done_before(tx, tenant, key, orchestration_id):
                ledger = await load_plan(tx, orchestration_id)
                extend(ledger, extension)
                await ledger.save()
        self._signal.committed(orchestration_id)
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


async def _done_before(
    tx: Transaction, tenant: str, key: RequestKey | None, resource_id: str
) -> bool:
    if key is None:
        return False
    earlier = await tx.reserve_request(tenant, key, resource_id=resource_id)
    if earlier is not None:
        check_same_request(earlier, key)
    return earlier is not None


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
    if (problem := problem_of_worker_class(plan.worker_class)) is not None:
        violations.append(FieldViolation(field="worker_class", description=problem))
    if plan.max_concurrent_trials < 0:
        violations.append(
            FieldViolation(
                field="max_concurrent_trials",
                description=f"is {plan.max_concurrent_trials}, must not be negative",
            )
        )
    if violations:
        raise InvalidRequest(violations)


class _AnotherStudy(Exception):
    """The name is taken by a study with another specification."""

    def __init__(self, orchestration_id: str) -> None:
        super().__init__(orchestration_id)
        self.orchestration_id = orchestration_id


def _study_exists(study: Orchestration, plan: Plan) -> AlreadyExists:
    differ = differences(study, plan)
    what = f": {'; '.join(differ)}" if differ else ""
    return AlreadyExists(
        f"study {plan.study_name!r} exists with another specification{what}. Send what it was started"
        " with, where only the trials of the last stage and limits may be larger, to go on with it; or"
        " choose another name",
        reason="STUDY_EXISTS",
        metadata={"study_name": plan.study_name, "orchestration_id": study.orchestration_id},
    )


async def _begin(tx: Transaction, orchestration_id: str, notices: Sequence[str]) -> None:
    ledger = await load_plan(tx, orchestration_id)
    ledger.update(counts=TrialCounts(total=sum(run.counts.total for run in ledger.runs.values())))
    lifecycle.begin(ledger)
    for notice in notices:
        reason, _, words = notice.partition(":")
        ledger.append(Notice(reason=reason.strip(), message=words.strip()))
    await ledger.save()
