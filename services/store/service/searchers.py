"""Searcher leases: which coordinator decides for which tuning run."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.errors import FieldViolation, InvalidRequest
from services.store.ports.results import SearcherLease
from services.store.ports.workforce import SearcherStore
from services.store.service.identifiers import id_or_none

# Bounds one statement, whatever is asked for.
_MAX_NEW = 1_000


class Searchers:
    """Gives leases on the searchers of running tuning runs."""

    def __init__(self, store: SearcherStore, *, lease_seconds: float) -> None:
        self._store = store
        self.lease_seconds = lease_seconds

    async def acquire(
        self, coordinator_id: str, *, held: Sequence[str], max_new: int
    ) -> Sequence[SearcherLease]:
        """Renews leases and takes free ones.

        A lease that ran out and that nobody took since is renewed under its old epoch: nobody else
        decided anything meanwhile.

        Returns: all leases held now; one missing was lost, or its tuning run does not run.
        Raises: InvalidRequest: there is no coordinator id.
        """
        if not coordinator_id:
            raise InvalidRequest(
                [FieldViolation(field="coordinator_id", description="must not be empty")]
            )
        return await self._store.acquire(
            coordinator_id,
            held=_known(held),
            max_new=min(max(0, max_new), _MAX_NEW),
            lease_seconds=self.lease_seconds,
        )

    async def release(self, coordinator_id: str, tuning_run_ids: Sequence[str]) -> None:
        """Gives leases back, so that others need not wait for their end."""
        await self._store.release(coordinator_id, _known(tuning_run_ids))


def _known(identifiers: Sequence[str]) -> list[str]:
    return [each for each in map(id_or_none, identifiers) if each is not None]
