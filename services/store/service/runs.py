"""What was run: states, listings, the best model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from services.core.errors import FieldViolation, InvalidRequest, WrongState
from services.core.history import RunHistory, score_history
from services.core.plan import LifecycleState
from services.core.refinement import Refinement
from services.core.run import Orchestration, TuningRun
from services.core.trial import Trial, TrialState
from services.store.ports.reading import RunReader
from services.store.ports.records import NO_CANDIDATE
from services.store.ports.results import BestModel, RunEvaluation, TrialFilter, TrialOrder
from services.store.service import pages
from services.store.service.identifiers import canonical_id, not_found
from services.store.service.ranking import ranked_models
from services.store.service.remaining import with_remaining
from services.store.service.selecting import selections

_MOST_NUMBER = 2**31 - 1


class Runs:
    """Answers questions about orchestrations."""

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader

    async def orchestration(self, orchestration_id: str) -> Orchestration:
        """Gives an orchestration with its stages and tuning runs. Raises: NotFound."""
        orchestration_id = canonical_id("orchestration", orchestration_id)
        found = await self._reader.orchestration(orchestration_id)
        if found is None:
            raise not_found("orchestration", orchestration_id)
        if found.state is LifecycleState.RUNNING:
            return with_remaining(found, await self._reader.pace(orchestration_id))
        return found

    async def orchestrations(
        self,
        tenant: str,
        *,
        states: Sequence[LifecycleState],
        study_name: str,
        page_size: int | None,
        page_token: str,
    ) -> tuple[Sequence[Orchestration], str]:
        """Lists orchestrations, newest first, with the next page's token. Raises: InvalidRequest."""
        limit = pages.checked_page_size(page_size)
        listing = ("orchestrations", tenant, sorted(each.name for each in states), study_name)
        found = await self._reader.orchestrations(
            tenant,
            states=states,
            study_name=study_name,
            before=pages.read_token(listing, page_token, pages.decode_time_and_id),
            limit=limit + 1,
        )
        if len(found) <= limit:
            return found, ""
        last = found[limit - 1]
        created_at = last.timings.created_at
        key = [created_at.isoformat() if created_at else "", last.orchestration_id]
        return found[:limit], pages.make_token(listing, key)

    async def tuning_run(self, tuning_run_id: str) -> TuningRun:
        """Gives a tuning run. Raises: NotFound."""
        tuning_run_id = canonical_id("tuning run", tuning_run_id)
        found = await self._reader.tuning_run(tuning_run_id)
        if found is None:
            raise not_found("tuning run", tuning_run_id)
        return found

    async def evaluation(self, tuning_run_id: str) -> RunEvaluation:
        """Gives what a tuning run's trials compute. Raises: NotFound."""
        tuning_run_id = canonical_id("tuning run", tuning_run_id)
        found = await self._reader.evaluation(tuning_run_id)
        if found is None:
            raise not_found("tuning run", tuning_run_id)
        return found

    async def refinements(self, orchestration_id: str) -> Sequence[Refinement]:
        """Lists refinements in the order they were made. Raises: NotFound."""
        orchestration_id = canonical_id("orchestration", orchestration_id)
        found = await self._reader.refinements(orchestration_id)
        if not found and not await self._reader.exists(orchestration_id):
            raise not_found("orchestration", orchestration_id)
        return found

    async def history(self, orchestration_id: str) -> Sequence[RunHistory]:
        """Gives how each tuning run went, in the order of the plan. Raises: NotFound."""
        orchestration = await self.orchestration(orchestration_id)
        scored = await self._reader.scored_trials(orchestration.orchestration_id)
        return [
            RunHistory(
                tuning_run_id=run.tuning_run_id,
                stage_index=run.stage_index,
                model_run_id=run.model_run_id,
                model_type=run.model_type,
                method=run.method_used,
                scores=score_history(scored.get(run.tuning_run_id, ())),
            )
            for stage in orchestration.stages
            for run in stage.tuning_runs
        ]

    async def trials(
        self,
        *,
        orchestration_id: str,
        tuning_run_id: str,
        states: Sequence[TrialState],
        min_score: float | None,
        order: TrialOrder,
        page_size: int | None,
        page_token: str,
    ) -> tuple[Sequence[Trial], str]:
        """Lists trials of an orchestration or of one of its tuning runs, with the next page's token.

        Raises: NotFound; InvalidRequest: neither is named, or size or token is wrong.
        """
        limit = pages.checked_page_size(page_size)
        wanted = await self._filter(orchestration_id, tuning_run_id, states, min_score)
        listing = ("trials", dataclasses.astuple(wanted), order.value)
        if order is TrialOrder.SCORE:
            return await self._by_score(wanted, listing, limit, page_token)
        after = pages.read_token(listing, page_token, _decode_number)
        found = await self._reader.trials_by_number(
            wanted, after=-1 if after is None else after, limit=limit + 1
        )
        page = pages.page_of(found, limit=limit, size=_shown_bytes)
        if len(page) == len(found):
            return page, ""
        return page, pages.make_token(listing, page[-1].number)

    async def _filter(
        self,
        orchestration_id: str,
        tuning_run_id: str,
        states: Sequence[TrialState],
        min_score: float | None,
    ) -> TrialFilter:
        if not orchestration_id and not tuning_run_id:
            raise InvalidRequest(
                [
                    FieldViolation(
                        field="orchestration_id",
                        description="must be given unless tuning_run_id is",
                    )
                ]
            )
        run_id: str | None = None
        owner = ""
        if tuning_run_id:
            run_id = canonical_id("tuning run", tuning_run_id)
            found = await self._reader.orchestration_of(run_id)
            if found is None:
                raise not_found("tuning run", tuning_run_id)
            owner = found
        if orchestration_id:
            wanted = canonical_id("orchestration", orchestration_id)
            if not await self._reader.exists(wanted):
                raise not_found("orchestration", orchestration_id)
            if owner and owner != wanted:
                raise not_found(f"tuning run of orchestration {wanted}", tuning_run_id)
            owner = wanted
        return TrialFilter(
            orchestration_id=owner,
            tuning_run_id=run_id,
            states=tuple(states),
            min_score=min_score,
        )

    async def _by_score(
        self, wanted: TrialFilter, listing: object, limit: int, page_token: str
    ) -> tuple[Sequence[Trial], str]:
        """Lists scored trials best first, then those without a score by number."""
        key = pages.read_token(listing, page_token, _decode_score_key)
        found: list[Trial] = []
        if not isinstance(key, int):
            found += await self._reader.trials_by_score(wanted, after=key, limit=limit + 1)
        if len(found) <= limit and wanted.min_score is None:
            found += await self._reader.trials_without_score(
                wanted,
                after=key if isinstance(key, int) else -1,
                limit=limit + 1 - len(found),
            )
        page = pages.page_of(found, limit=limit, size=_shown_bytes)
        if len(page) == len(found):
            return page, ""
        return page, pages.make_token(listing, _score_key(page[-1]))

    async def best_model(self, orchestration_id: str, *, best_so_far: bool) -> BestModel:
        """Gives the best model and the ranking of all models.

        Raises:
            NotFound: there is no such orchestration.
            WrongState: it is not complete and the best so far was not asked for, or nothing succeeded.
        """
        found = await self.orchestration(orchestration_id)
        complete = found.state is LifecycleState.COMPLETED
        name = f"orchestration {found.orchestration_id}"
        metadata = {"orchestration_id": found.orchestration_id, "state": found.state.name}
        if found.best is None:
            why = f": {found.message}" if found.message else ""
            raise WrongState(
                f"{name} is {found.state.name} and has no successful trial{why}",
                reason="NO_SUCCESS",
                metadata=metadata,
            )
        if not complete and not best_so_far:
            raise WrongState(
                f"{name} is {found.state.name}, not COMPLETED; set best_so_far to get the best model"
                " so far",
                reason="NOT_COMPLETE",
                metadata=metadata,
            )
        made = await selections(self._reader, found)
        ranking = ranked_models(found, made)
        # Ranked by what was selected of each model, where there is a rule for that.
        best = (ranking[0].best if made else None) or found.best
        trial = await self._reader.trial(found.orchestration_id, best.trial_number)
        if trial is None:
            raise not_found("trial", str(best.trial_number))
        return BestModel(
            best=best,
            trial=trial,
            ranking=ranking,
            scoring_metric=found.scoring_metric,
            complete=complete,
            selection=made.get(best.model_run_id),
        )


def _shown_bytes(trial: Trial) -> int:
    """About how many bytes a trial takes in an answer."""
    scores = sum(200 + 8 * (len(each.scores) + len(each.train_scores)) for each in trial.metrics)
    message = len(trial.failure.message.encode()) if trial.failure else 0
    return 500 + 50 * len(trial.parameters) + scores + 40 * len(trial.splits) + message


def _decode_number(key: object) -> int:
    if not isinstance(key, int) or not 0 <= key <= _MOST_NUMBER:
        raise ValueError("not the number of a trial")
    return key


def _score_key(trial: Trial) -> object:
    if trial.score is None:
        return trial.number
    candidate = NO_CANDIDATE if trial.candidate_index is None else trial.candidate_index
    return [trial.score, trial.stage_index, candidate, trial.number]


def _decode_score_key(key: object) -> int | tuple[float, int, int, int]:
    if isinstance(key, int):
        return _decode_number(key)
    if not isinstance(key, list) or len(key) != 4:
        raise ValueError("not a place in an order by score")
    score, stage, candidate, number = key
    if not 0 <= int(candidate) <= NO_CANDIDATE:
        raise ValueError("not a candidate")
    return float(score), _decode_number(stage), int(candidate), _decode_number(number)
