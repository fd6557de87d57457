"""One trial with where it came from."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.errors import FieldViolation, InvalidRequest, NotFound
from services.core.lineage import Lineage, lineage_of
from services.core.objective import EvaluationSpec
from services.core.trial import Trial
from services.store.ports.reading import RunReader
from services.store.service.identifiers import canonical_id, not_found

_MOST_NUMBER = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialName:
    """A trial as a request names it; `number` is None where it was left out."""

    orchestration_id: str
    number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedTrial:
    """A trial with its lineage."""

    trial: Trial
    lineage: Lineage


class Tracing:
    """Finds single trials, what they computed, and what they rest on."""

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader

    async def traced(self, name: TrialName) -> TracedTrial:
        """Gives a trial with where it came from.

        Raises:
            InvalidRequest: the number is missing.
            NotFound: there is no such trial.
        """
        if name.number is None:
            raise InvalidRequest(
                [FieldViolation(field="number", description="is missing; name the trial by it")]
            )
        trial = await self.trial(name)
        run = await self._reader.tuning_run(trial.tuning_run_id)
        if run is None:
            raise not_found("tuning run", trial.tuning_run_id)
        refinements = await self._reader.refinements(trial.orchestration_id)
        return TracedTrial(trial=trial, lineage=lineage_of(trial, run, refinements))

    async def trial(self, name: TrialName) -> Trial:
        """Gives a trial by its name. Raises: NotFound."""
        orchestration_id = canonical_id("orchestration", name.orchestration_id)
        trial = None
        # What is beyond the column's type is the number of no trial.
        if name.number is not None and 0 <= name.number <= _MOST_NUMBER:
            trial = await self._reader.trial(orchestration_id, name.number)
        if trial is None:
            if not await self._reader.exists(orchestration_id):
                raise not_found("orchestration", name.orchestration_id)
            raise NotFound(
                f"orchestration {orchestration_id} has no trial {name.number}",
                metadata={"kind": "trial", "id": str(name.number)},
            )
        return trial

    async def evaluation(self, trial: Trial) -> EvaluationSpec:
        """Gives what a trial computed. Raises: NotFound."""
        found = await self._reader.evaluation(trial.tuning_run_id)
        if found is None:
            raise not_found("tuning run", trial.tuning_run_id)
        return found.evaluation
