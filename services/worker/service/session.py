"""The worker's session with the store: opened, kept by beats, and opened anew when it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from services.core.errors import CrescendoError, NotFound, Unavailable, WrongState
from services.core.trial import TrialKey
from services.worker.ports import Order, Session, TrialStore
from services.worker.service.backoff import Backoff

logger = structlog.get_logger()

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a worker says about itself."""

    worker_class: str
    worker_name: str
    slots: int
    held: Callable[[], Sequence[TrialKey]]
    free_slots: Callable[[], int]


class SessionKeeper:
    """Registers, beats, listens for orders; begins again when the store does not know the session.

    Trials that run are not touched by any of this: out of contact the worker runs on, and stops what
    it is told to stop.
    """

    def __init__(
        self,
        store: TrialStore,
        presence: Presence,
        *,
        on_orders: Callable[[Sequence[Order]], None],
    ) -> None:
        self._store = store
        self._presence = presence
        self._on_orders = on_orders
        self._session: Session | None = None
        self._registered = asyncio.Event()
        self._lost = asyncio.Event()
        self._beating = asyncio.Lock()
        self._answered = True
        self._closing = False
        self._registering: asyncio.Task[Session] | None = None

    async def run(self) -> None:
        """Keeps a session until cancelled; opens no other once it was closed."""
        while not self._closing:
            self._registering = asyncio.create_task(self._register())
            try:
                session = await self._registering
            except CrescendoError:
                break  # Closed before there was one.
            finally:
                self._registering.cancel()
                self._registering = None
            await self._keep(session)
            if not self._closing:
                logger.warning("session ended; opening another", session_id=session.session_id)
        await asyncio.get_running_loop().create_future()

    @property
    def is_held(self) -> bool:
        """Whether there is a session that the store knew of at the last beat."""
        return self._registered.is_set() and self._answered

    async def wait_registered(self) -> None:
        """Waits until there is a session."""
        await self._registered.wait()

    async def call(
        self, request: Callable[[str], Awaitable[ResultT]], *, patience_seconds: float | None
    ) -> ResultT:
        """Makes a call that needs a session; repeats it while the store is away or the session is old.

        Args:
            request: makes the call with a session's id; safe to repeat.
            patience_seconds: how long to repeat it; None for ever.

        Raises: CrescendoError: the store refused, or (Unavailable) stayed away for too long.
        """
        started = time.monotonic()
        backoff = Backoff()
        while True:
            if self._closing:
                raise Unavailable("the session with the store is closed", reason="NO_SESSION")
            left = None
            if patience_seconds is not None:
                left = max(0.0, patience_seconds - (time.monotonic() - started))
            try:
                async with asyncio.timeout(left):
                    await self._registered.wait()
            except TimeoutError as error:
                raise Unavailable("no session with the store", reason="NO_SESSION") from error
            session = self._session
            if session is None:
                continue
            try:
                return await request(session.session_id)
            except Unavailable as error:
                if left is not None and left <= 0:
                    raise
                logger.warning(
                    "store not available; trying again", error=str(error), limit_seconds=10
                )
            except (NotFound, WrongState) as error:
                if not is_session_lost(error):
                    raise
                self._lose(session)
            await asyncio.sleep(backoff.next_delay())

    async def close(self, *, patience_seconds: float) -> None:
        """Ends the session, if there is one and the store can be reached; there will be no other.

        A registration under way is waited for: a session the store opened and nobody keeps would hold
        up the trials handed to it.
        """
        self._closing = True
        try:
            async with asyncio.timeout(patience_seconds):
                if self._registering is not None and not self._registering.done():
                    await asyncio.wait({self._registering})
                session = self._session
                if session is not None and self._registered.is_set():
                    await self._store.close_session(session.session_id)
                    self._lose(session)
        except (CrescendoError, TimeoutError) as error:
            logger.warning("session not closed; its lease will end it", error=str(error))

    async def _register(self) -> Session:
        presence = self._presence
        backoff = Backoff(first=0.2)
        while True:
            try:
                session = await self._store.register(
                    worker_class=presence.worker_class,
                    worker_name=presence.worker_name,
                    slots=presence.slots,
                )
                self._lost.clear()
                self._session = session
                self._registered.set()
                self._answered = True
                logger.info("session opened", session_id=session.session_id)
                return session
            except CrescendoError as error:
                if self._closing:
                    raise
                delay = backoff.next_delay()
                logger.warning(
                    "cannot register with the store; trying again",
                    error=str(error),
                    limit_seconds=10,
                    retry_seconds=round(delay, 2),
                )
                await asyncio.sleep(delay)

    async def _keep(self, session: Session) -> None:
        tasks = {
            asyncio.create_task(self._beat(session)),
            asyncio.create_task(self._listen(session)),
            asyncio.create_task(self._lost.wait()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _beat(self, session: Session) -> None:
        """Beats until the session is lost."""
        while True:
            if not await self._beat_once(session):
                return
            await asyncio.sleep(session.beat_seconds)

    async def _beat_once(self, session: Session) -> bool:
        """Beats. Returns: whether the session stands, as far as is known."""
        presence = self._presence
        try:
            # One at a time: two that were both made before a claim would count as two in a row
            # without it, and the trial as lost.
            async with self._beating:
                orders = await self._store.heartbeat(
                    session.session_id, held=presence.held(), free_slots=presence.free_slots()
                )
            self._answered = True
        except Unavailable as error:
            self._answered = False
            # The lease may end meanwhile; whether it did, the next beat tells.
            logger.warning("beat not answered", error=str(error), limit_seconds=10)
            return True
        except CrescendoError as error:
            if not is_session_lost(error):
                logger.error("beat refused", exc_info=error)
                return True
            self._lose(session)
            return False
        if orders:
            self._on_orders(orders)
        return True

    async def _listen(self, session: Session) -> None:
        """Takes orders as they arise; each new stream begins with a beat."""
        backoff = Backoff(first=0.2)
        while True:
            try:
                async for orders in self._store.listen(session.session_id):
                    backoff = Backoff(first=0.2)
                    if orders:
                        self._on_orders(orders)
            except CrescendoError as error:
                if is_session_lost(error):
                    self._lose(session)
                    return
                logger.info("order stream broke", error=str(error))
            await asyncio.sleep(backoff.next_delay())
            if not await self._beat_once(session):
                return

    def _lose(self, session: Session) -> None:
        if self._session is session:
            self._registered.clear()
            self._lost.set()


def is_session_lost(error: CrescendoError) -> bool:
    """Whether an error means that the store does not know the session any more."""
    if isinstance(error, WrongState):
        return error.reason.startswith("SESSION")
    return isinstance(error, NotFound) and "session" in error.message.lower()
