"""What is read: states, trials, events. Every method raises Unavailable when the database is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from services.core.history import ScoredTrial
from services.core.plan import LifecycleState, RequestKey
from services.core.refinement import Refinement
from services.core.run import Orchestration, TuningRun
from services.core.trial import Trial
from services.store.ports.results import (
    LogPage,
    LogPositions,
    OrchestrationSnapshot,
    Pace,
    RunEvaluation,
    TrialFilter,
)
from services.store.ports.transaction import EarlierRequest


class RunReader(Protocol):
    """Reads orchestrations and what belongs to them; each answer is one consistent read."""

    async def find_request(self, tenant: str, key: RequestKey) -> EarlierRequest | None:
        """Gives what a request id was used for."""
        ...

    async def orchestration(self, orchestration_id: str) -> Orchestration | None:
        """Gives an orchestration with its stages and tuning runs; None if unknown."""
        ...

    async def orchestrations(
        self,
        tenant: str,
        *,
        states: Sequence[LifecycleState],
        study_name: str,
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> Sequence[Orchestration]:
        """Lists orchestrations without stages, newest first, from after (created_at, id) on."""
        ...

    async def tuning_run(self, tuning_run_id: str) -> TuningRun | None:
        """Gives a tuning run; None if unknown."""
        ...

    async def evaluation(self, tuning_run_id: str) -> RunEvaluation | None:
        """Gives what a tuning run's trials compute, which never changes; None if unknown."""
        ...

    async def trial(self, orchestration_id: str, number: int) -> Trial | None:
        """Gives one trial; None if unknown."""
        ...

    async def trials_by_number(
        self, wanted: TrialFilter, *, after: int, limit: int
    ) -> Sequence[Trial]:
        """Lists trials with numbers above `after`, by number."""
        ...

    async def trials_by_score(
        self,
        wanted: TrialFilter,
        *,
        after: tuple[float, int, int, int] | None,
        limit: int,
    ) -> Sequence[Trial]:
        """Lists trials with a score, best first, from after (score, stage, candidate, number) on."""
        ...

    async def trials_without_score(
        self, wanted: TrialFilter, *, after: int, limit: int
    ) -> Sequence[Trial]:
        """Lists trials without a score with numbers above `after`, by number."""
        ...

    async def refinements(self, orchestration_id: str) -> Sequence[Refinement]:
        """Lists refinements in the order they were made."""
        ...

    async def scored_trials(self, orchestration_id: str) -> Mapping[str, Sequence[ScoredTrial]]:
        """Gives the trials with a score by tuning run, in the order they ended."""
        ...

    async def pace(self, orchestration_id: str) -> Pace:
        """Gives how fast an orchestration's trials can run."""
        ...

    async def exists(self, orchestration_id: str) -> bool:
        """Whether there is such an orchestration."""
        ...

    async def orchestration_of(self, tuning_run_id: str) -> str | None:
        """Gives the orchestration a tuning run belongs to; None if unknown."""
        ...


class EventReader(Protocol):
    """Reads event logs."""

    async def positions(self, orchestration_ids: Sequence[str]) -> LogPositions:
        """Says where logs stand."""
        ...

    async def snapshot(self, orchestration_id: str) -> OrchestrationSnapshot | None:
        """Gives what a watch starts from; None if unknown."""
        ...

    async def events(
        self, orchestration_id: str, *, after: int, max_events: int, max_bytes: int
    ) -> LogPage:
        """Gives the next events after a sequence number, in order; at least one if there is one."""
        ...

    async def begin_new_epoch(self, epoch: str | None) -> str | None:
        """Begins a new epoch, because commits were lost: in any case, or only where `epoch` holds.

        Returns: the new epoch; None when another one than `epoch` holds already.
        """
        ...
