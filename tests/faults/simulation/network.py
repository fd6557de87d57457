"""Calls between processes that are lost, doubled, delayed and overtaken, in both directions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from services.core.errors import CrescendoError, Unavailable
from services.store.app import UseCases
from tests.faults.simulation.scheduler import Process, Resume, Scheduler, Waiting

_TIMEOUT_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Weather:
    """How bad the network is; shares of messages."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0


class Replica(Process):
    """One process of the store."""

    def __init__(self, scheduler: Scheduler, name: str, cases: UseCases) -> None:
        super().__init__(scheduler, name)
        self.cases = cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One call that was executed, as the history shows it."""

    moment: float
    caller: str
    replica: str
    call: str
    outcome: str


class Network:
    """Brings calls to replicas and answers back.

    Attributes:
        weather: what happens to messages now.
        cut_off: names of processes nothing comes to or from.
        history: every call that was executed, in order.
        under_way: requests that were sent and have not arrived; those to a frozen replica wait for it.
    """

    def __init__(self, scheduler: Scheduler, random: Random) -> None:
        self._scheduler = scheduler
        self._random = random
        self.weather = Weather()
        self.cut_off: set[str] = set()
        # Calls of this name come through no more.
        self.closed_to: set[str] = set()
        self.history: list[Happening] = []
        self.under_way = 0
        self.observe: Callable[[str, Any, Any], Awaitable[None]] | None = None

    def note(self, who: str, what: str) -> None:
        """Writes something into the history that is no call."""
        self.history.append(
            Happening(moment=self._scheduler.now, caller=who, replica="", call=what, outcome="")
        )

    def call(
        self,
        caller: Process,
        replica: Replica,
        name: str,
        arguments: Any,
        request: Callable[[UseCases], Awaitable[Any]],
    ) -> Waiting:
        """Makes a call. Raises (when awaited): what the use case raised; Unavailable: who knows."""

        def start(resume: Resume) -> None:
            late = Unavailable("simulated: no answer in time", reason="DEADLINE")
            self._scheduler.after(_TIMEOUT_SECONDS, lambda: resume(None, late))
            for delay in self._arrivals(caller, replica):
                self._deliver(delay, caller, replica, name, arguments, request, resume)

        return Waiting(start)

    def _deliver(
        self,
        delay: float,
        caller: Process,
        replica: Replica,
        name: str,
        arguments: Any,
        request: Callable[[UseCases], Awaitable[Any]],
        resume: Resume,
    ) -> None:
        def answer(value: Any, error: Exception | None) -> None:
            for back in self._arrivals(caller, replica):
                self._scheduler.after(back, lambda: resume(value, error))

        def arrive() -> Awaitable[None] | None:
            self.under_way -= 1
            if not replica.is_alive:
                answer(None, Unavailable("simulated: connection refused"))
                return None
            if name in self.closed_to:
                return None
            if replica.is_frozen:
                wait = replica.frozen_until - self._scheduler.now
                self._deliver(wait, caller, replica, name, arguments, request, resume)
                return None
            return execute()

        async def execute() -> None:
            value: Any = None
            error: CrescendoError | None = None
            try:
                value = await request(replica.cases)
                outcome = f"{value}"
            except CrescendoError as raised:
                error = raised
                outcome = f"{type(raised).__name__}({raised.reason})"
            self.history.append(
                Happening(
                    moment=self._scheduler.now,
                    caller=caller.name,
                    replica=replica.name,
                    call=f"{name} {arguments}",
                    outcome=outcome,
                )
            )
            if self.observe is not None:
                await self.observe(name, arguments, error or value)
            answer(value, error)

        self.under_way += 1
        self._scheduler.after(delay, arrive)

    def _arrivals(self, caller: Process, replica: Replica) -> list[float]:
        """Gives the delays with which a message arrives: none when it is lost, two when doubled."""
        if caller.name in self.cut_off or replica.name in self.cut_off:
            return []
        weather, draw = self.weather, self._random.random
        if draw() < weather.lost:
            return []
        delays = [self._delay()]
        if draw() < weather.doubled:
            delays.append(self._delay() + draw() * 10)
        return delays

    def _delay(self) -> float:
        if self._random.random() < self.weather.late:
            return self._random.uniform(0.5, 25.0)
        return self._random.uniform(0.001, 0.05)
