"""Telling the store about scored folds of trials that take their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from services.core.errors import CrescendoError
from services.worker.ports import FoldReport, Order, TrialStore
from services.worker.service.session import SessionKeeper

logger = structlog.get_logger()

_GATHER_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0


class FoldReporter:
    """Sends fold reports in batches. Those that cannot be sent are dropped: results carry all folds."""

    def __init__(
        self,
        store: TrialStore,
        session: SessionKeeper,
        *,
        on_orders: Callable[[Sequence[Order]], None],
    ) -> None:
        self._store = store
        self._session = session
        self._on_orders = on_orders
        self._reports: list[FoldReport] = []
        self._arrived = asyncio.Event()

    def submit(self, report: FoldReport) -> None:
        """Takes a report."""
        self._reports.append(report)
        self._arrived.set()

    async def run(self) -> None:
        """Sends reports until cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._arrived.clear()
            reports, self._reports = self._reports, []
            try:
                orders = await self._session.call(
                    lambda session_id, reports=reports: self._store.report_folds(  # type: ignore[misc]
                        session_id, reports
                    ),
                    patience_seconds=_PATIENCE_SECONDS,
                )
            except CrescendoError as error:
                logger.info("fold reports dropped", count=len(reports), error=str(error))
                continue
            if orders:
                self._on_orders(orders)
