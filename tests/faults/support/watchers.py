"""Watchers that follow an orchestration, drop their streams at random, and write down what they see."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import grpc

from crescendo.client.errors import CrescendoError
from crescendo.client.events import Event
from crescendo.client.library import Crescendo
from crescendo.client.watching import Backoff
from tests.faults.support.history import change_digest, payload_digest
from tests.faults.support.records import Record, read_record
from tuning.v1 import run_service_pb2, run_service_pb2_grpc

_STREAM_SECONDS = 600.0
_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One thing a stream brought: `digest` None for a snapshot, which is a place to go on from."""

    sequence: int
    digest: str | None


class Watcher:
    """Follows one orchestration in a thread of its own, to its final event or until it is stopped.

    Args:
        drops: how many events it takes before it leaves a stream, at random up to twice as many;
            0 never leaves.
        snapshots: the share of streams that start from a snapshot instead of the cursor.
        endless: comes back after the end until somebody asks for the record: the search may be extended.
    """

    decoded = False

    def __init__(
        self,
        address: Callable[[], str],
        orchestration_id: str,
        folder: Path,
        *,
        name: str,
        seed: int = 0,
        drops: int = 0,
        snapshots: float = 0.0,
        endless: bool = False,
    ) -> None:
        self.name = name
        self.orchestration_id = orchestration_id
        self.cursor = 0
        self.path = folder / f"{name}-{orchestration_id}.watch"
        self._address = address
        self._rng = random.Random(f"{seed} {name}")
        self._drops = drops
        self._snapshots = snapshots
        self._finishing = threading.Event()
        self._stopped = threading.Event()
        self._ended = threading.Event()
        if not endless:
            self._finishing.set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Watcher:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops it wherever it stands."""
        self._stopped.set()
        self._thread.join(30)

    def record(self, *, seconds: float = 60.0) -> Record:
        """Waits for the end it is looking for, and gives what it saw."""
        self._finishing.set()
        self._ended.wait(seconds)
        self.stop()
        return read_record(
            self.path,
            name=self.name,
            orchestration_id=self.orchestration_id,
            decoded=self.decoded,
        )

    def _run(self) -> None:
        with self.path.open("a") as file:
            file.write(f"at {self.cursor}\n")
            while not self._stopped.is_set():
                if self._stream(file) and self._finishing.is_set():
                    file.write("end\n")
                    file.flush()
                    self._ended.set()
                    return
                file.flush()
                self._stopped.wait(self._rng.uniform(0, _AGAIN_SECONDS))

    def _stream(self, file: TextIO) -> bool:
        """Follows one stream. Returns: whether it came to the end of the log."""
        left = self._rng.randint(1, 2 * self._drops) if self._drops else -1
        from_snapshot = self._rng.random() < self._snapshots
        try:
            for sight in self._sights(None if from_snapshot else self.cursor):
                if sight.digest is None:
                    file.write(f"at {sight.sequence}\n")
                else:
                    file.write(f"event {sight.sequence} {sight.digest}\n")
                self.cursor = sight.sequence
                left -= 1
                if self._stopped.is_set() or left == 0:
                    return False
            # The server ends a stream without an error behind the final event alone.
            return True
        except grpc.RpcError as error:
            code = getattr(error, "code", lambda: None)()
            details = getattr(error, "details", lambda: "")() or ""
            file.write(f"error {code} {' '.join(details.split())}\n")
        except InterruptedError:
            pass
        except CrescendoError as error:
            file.write(f"error {type(error).__name__} {' '.join(str(error).split())}\n")
        return False

    def _sights(self, cursor: int | None) -> Iterator[Sight]:
        with grpc.insecure_channel(
            self._address(), options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub = run_service_pb2_grpc.RunServiceStub(channel)
            request = run_service_pb2.WatchOrchestrationRequest(
                orchestration_id=self.orchestration_id, after_sequence=cursor
            )
            stream = stub.WatchOrchestration(request, timeout=_STREAM_SECONDS)
            try:
                for message in stream:
                    if message.HasField("snapshot"):
                        yield Sight(
                            sequence=message.snapshot.orchestration.last_sequence, digest=None
                        )
                    for event in message.events.events:
                        yield Sight(
                            sequence=event.sequence,
                            digest=payload_digest(event),
                        )
            finally:
                stream.cancel()  # type: ignore[no-untyped-call]  # untyped in the stubs


class LibraryWatcher(Watcher):
    """The same by the client library, which resumes dropped streams by itself."""

    decoded = True

    def _sights(self, cursor: int | None) -> Iterator[Sight]:
        address = self._address()
        backoff = Backoff(longest_seconds=2.0, sleep=self._sleep)
        with Crescendo(address, address) as crescendo:
            for item in crescendo.watch(self.orchestration_id, cursor, backoff=backoff):
                if isinstance(item, Event):
                    yield Sight(
                        sequence=item.sequence,
                        digest=change_digest(item.change),
                    )
                else:
                    yield Sight(sequence=item.sequence, digest=None)

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise InterruptedError
