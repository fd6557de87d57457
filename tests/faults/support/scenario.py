"""One fault test: a fleet, what was asked of it, who watches, and the verdict at the end."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from tests.faults.support.fleet import Fleet, wait_for
from tests.faults.support.history import History, read_history
from tests.faults.support.invariants import Evidence, Submission, violations
from tests.faults.support.watchers import LibraryWatcher, Watcher
from tests.faults.support.workloads import Subjects, make_subjects
from tests.support.clients import Client
from tuning.v1 import orchestration_service_pb2

TUNING = "StartTuning"
PROGRESSIVE = "StartProgressiveSearch"
ORPHAN_SECONDS = 60.0
# What a fault costs is measured by the soak; a test on a busy machine must not fail for its load.
PATIENCE = 3.0


@dataclass(slots=True, eq=False, kw_only=True)
class Asked:
    """A search that was started, or tried to be."""

    rpc: str
    request_id: str
    body: Mapping[str, Any]
    trials: int | None
    succeeded: int | None
    answers: list[str] = field(default_factory=list)

    @property
    def orchestration_id(self) -> str:
        return self.answers[0]


@dataclass(slots=True, eq=False, kw_only=True)
class Scenario:
    """Asks, watches, breaks, and has the one checker judge what is left.

    Attributes:
        rng: the only source of chance; seeded.
    """

    fleet: Fleet
    seed: int
    rng: random.Random
    subjects: Subjects
    client: Client
    asked: list[Asked] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)
    error_texts: list[str] = field(default_factory=list)

    def tune(
        self, body: Mapping[str, Any], *, trials: int | None, succeeded: int | None = None
    ) -> Asked:
        """Starts a tuning; `trials` is how many must end in all, `succeeded` how many of them well."""
        return self._ask(TUNING, body, trials, succeeded)

    def search(
        self, body: Mapping[str, Any], *, trials: int | None, succeeded: int | None = None
    ) -> Asked:
        """Starts a progressive search."""
        return self._ask(PROGRESSIVE, body, trials, succeeded)

    def repeat(self, asked: Asked, client: Client | None = None) -> bool:
        """Sends the request (again). Returns: whether it was answered."""
        client = client or self.client
        start = client.start_tuning if asked.rpc == TUNING else client.start_progressive_search
        try:
            answer = start(asked.body)
        except grpc.RpcError as error:
            self.error_texts.append(str(error))
            return False
        asked.answers.append(answer.orchestration_id)
        return True

    def steer(self, verb: str, asked: Asked, client: Client | None = None, **fields: Any) -> str:
        """Calls `VerbOrchestration` or `TriggerNextStage`. Returns: `OK` or the code it was refused with."""
        name = "TriggerNextStage" if verb == "Trigger" else f"{verb}Orchestration"
        request = getattr(orchestration_service_pb2, f"{name}Request")(
            orchestration_id=asked.orchestration_id, **fields
        )
        try:
            getattr((client or self.client).orchestrations, name)(request, timeout=60)
        except grpc.RpcError as error:
            self.error_texts.append(str(error))
            return str(getattr(error, "code", lambda: None)())
        return "OK"

    def watch(
        self,
        asked: Asked,
        count: int = 1,
        *,
        drops: int = 0,
        snapshots: float = 0.0,
        endless: bool = False,
        address: Callable[[], str] | None = None,
    ) -> list[Watcher]:
        """Has watchers follow a search: by turns of the raw stream and of the client library."""
        started = []
        for _ in range(count):
            number = len(self.watchers)
            kind = LibraryWatcher if number % 2 else Watcher
            watcher = kind(
                address or self.store_address,
                asked.orchestration_id,
                self.fleet.folder,
                name=f"watcher-{number}",
                seed=self.seed,
                drops=drops,
                snapshots=snapshots,
                endless=endless,
            ).start()
            self.watchers.append(watcher)
            started.append(watcher)
        return started

    def store_address(self) -> str:
        """Gives the address of any store, through its clients' link."""
        return self.rng.choice(self.fleet.stores).clients

    def new_id(self) -> str:
        """Makes an id of a request, by chance as seeded."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def open_orchestrations(self) -> int:
        """Counts searches that have not ended."""
        return self.fleet.counts()["orchestrations"]

    def ended_trials(self) -> int:
        """Counts trials that have ended, of all searches."""
        return self.fleet.counts()["ended_trials"]

    def await_ended_trials(self, count: int, *, seconds: float = 90.0) -> float:
        """Waits until so many trials have ended."""
        return wait_for(
            lambda: self.ended_trials() >= count, f"{count} trials ended", seconds=seconds
        )

    def await_quiet(self, seconds: float) -> float | None:
        """Waits until nothing is open. Returns: how long that took; None if it did not happen."""
        began = time.monotonic()
        while self._is_open():
            if time.monotonic() - began > seconds:
                return None
            time.sleep(0.1)
        return time.monotonic() - began

    def _is_open(self) -> bool:
        counts = self.fleet.counts()
        return any(counts[name] for name in ("orchestrations", "trials", "sessions"))

    def check(self, *, bound_seconds: float) -> History:
        """Waits for quiet and judges. `bound_seconds` counts from now: the fault should be over.

        The bound is for a machine with nothing else to do; waits `PATIENCE` times as long.

        Raises: AssertionError: it lists every promise that was broken.
        """
        bound_seconds *= PATIENCE
        quiet_seconds = self.await_quiet(bound_seconds)
        orphans = self._await_no_orphans()
        records = [each.record(seconds=60.0) for each in self.watchers]
        history = read_history(self.fleet.dsn)
        found = violations(
            Evidence(
                history=history,
                records=records,
                submissions=[
                    Submission(
                        rpc=each.rpc,
                        request_id=each.request_id,
                        orchestration_ids=each.answers,
                        trials=each.trials,
                        succeeded=each.succeeded,
                    )
                    for each in self.asked
                ],
                orphans=orphans,
                quiet_seconds=quiet_seconds,
                quiet_bound_seconds=bound_seconds,
                texts=self._texts(history, records),
                secrets=self.fleet.secrets,
            )
        )
        late = [each.name for each in records if not each.complete]
        assert not found, "\n".join(str(each) for each in found[:40])
        assert not late, f"watchers did not come to the end of their logs: {late}"
        return history

    def _ask(
        self, rpc: str, body: Mapping[str, Any], trials: int | None, succeeded: int | None
    ) -> Asked:
        request_id = self.new_id()
        asked = Asked(
            rpc=rpc,
            request_id=request_id,
            body={**body, "request_id": request_id},
            trials=trials,
            succeeded=succeeded,
        )
        self.asked.append(asked)
        self.repeat(asked)
        return asked

    def _await_no_orphans(self) -> list[str]:
        deadline = time.monotonic() + ORPHAN_SECONDS
        while (found := self.fleet.orphans()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return [f"process {each.pid}: {' '.join(each.cmdline())[:200]}" for each in found]

    def _texts(self, history: History, records: list[Any]) -> dict[str, str]:
        texts = {path.name: path.read_text(errors="replace") for path in self.fleet.logs}
        for log in history.logs.values():
            texts[f"the log of {log.orchestration_id}"] = "\n".join(
                str(each.event) for each in log.events
            )
        for record in records:
            texts[f"errors of {record.name}"] = "\n".join(record.errors)
        texts["errors of requests"] = "\n".join(self.error_texts)
        return texts


def new_scenario(fleet: Fleet, seed: int) -> Scenario:
    """Makes a scenario on a fleet that runs."""
    client = fleet.client()
    return Scenario(
        fleet=fleet,
        seed=seed,
        rng=random.Random(seed),
        subjects=make_subjects(client),
        client=client,
    )
