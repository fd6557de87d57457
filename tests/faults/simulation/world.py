"""One simulated world: everything in it, and everything that goes wrong in it, follows from a seed."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

from services.core.errors import CrescendoError
from services.store.adapters.postgres.keeping import PostgresDue
from services.store.adapters.postgres.transaction import PostgresStorage
from services.store.adapters.postgres.workforce import PostgresSessions
from services.store.app import use_cases
from services.store.ports.results import Order, OrderKind
from services.store.service.keeper import Keeper
from services.store.service.reaper import Reaper
from services.store.settings import StoreSettings
from tests.faults.simulation.coordinators import Coordinator
from tests.faults.simulation.database import FaultyDatabase
from tests.faults.simulation.invariants import Invariants, Violation
from tests.faults.simulation.network import Happening, Network, Replica, Weather
from tests.faults.simulation.parts import (
    BEAT_SECONDS,
    DISPATCH_SECONDS,
    LEASE_SECONDS,
    SEARCHER_LEASE_SECONDS,
    Parts,
    Queue,
)
from tests.faults.simulation.people import MODEL_RUNS, Person, asking_for_more, random_wish
from tests.faults.simulation.scheduler import Scheduler
from tests.faults.simulation.workers import Worker

_TICK_SECONDS = 4.0
# Long after the worst is over: what has not ended by then never will.
_PATIENCE_SECONDS = 2 * 3600.0
# Time enough for sessions that nobody holds to end: a lease, and one of uninterrupted contact before it.
_SETTLING_SECONDS = 4 * LEASE_SECONDS
_SETTINGS = StoreSettings(
    lease_seconds=LEASE_SECONDS,
    beat_seconds=BEAT_SECONDS,
    searcher_lease_seconds=SEARCHER_LEASE_SECONDS,
    dispatch_seconds=DISPATCH_SECONDS,
)
_MISHAPS = (
    "kill worker",
    "kill worker",
    "kill worker",
    "freeze worker",
    "freeze worker",
    "drain worker",
    "kill coordinator",
    "freeze coordinator",
    "kill store",
    "freeze store",
    "database away",
    "clock jumps",
    "queue wiped",
    "cut off",
)


class World:
    """Two stores, two coordinators, some workers and people; chaos first, then calm until all has ended."""

    def __init__(self, seed: int, database: FaultyDatabase) -> None:
        self.seed = seed
        self._random = random = Random(seed)
        self._scheduler = scheduler = Scheduler(random)
        self._ahead = 0.0
        self._made = 0
        self._is_over = False
        self._database = database
        self.network = Network(scheduler, random)
        self._parts = Parts(
            scheduler=scheduler,
            random=random,
            database=database,
            network=self.network,
            queue=Queue(random),
        )
        self._invariants = Invariants(database)
        self.network.observe = self._invariants.observe
        self._failing = random.choice((0.0, 0.1, 0.5))
        self._workers: list[Worker] = []
        self._coordinators: list[Coordinator] = []
        study = "study" if random.random() < 0.3 else ""
        self._wishes = [random_wish(self._parts, study=study) for _ in range(random.choice((1, 2)))]
        if study:
            # The same study from several people is one search, even when one asks for more of it.
            plan = self._wishes[0].plan
            self._wishes[-1].plan = random.choice((plan, asking_for_more(plan)))

    @property
    def history(self) -> list[Happening]:
        """Everything that happened, in order."""
        return self.network.history

    @property
    def digest(self) -> str:
        """Names the whole course of things: the same for the same seed."""
        text = "\n".join(map(repr, self.history))
        return hashlib.sha256(text.encode()).hexdigest()

    async def run(self) -> None:
        """Lets everything happen. Raises: Violation."""
        random, scheduler = self._random, self._scheduler
        self._database.begin(random, lambda: scheduler.now + self._ahead)
        with _ids_of(random):
            for place in range(2):
                self._start_replica(place)
            for place in range(2):
                self._coordinators.append(Coordinator(self._parts, f"c{place}"))
            for _ in range(random.randint(1, 3)):
                self._start_worker()
            for place, wish in enumerate(self._wishes):
                moods = random.choices(
                    ("pause", "resume", "trigger", "cancel", "extend"),
                    (3, 3, 2, 1, 2),
                    k=random.randrange(4),
                )
                Person(self._parts, f"p{place}", wish, moods=moods)
            storm = random.uniform(10.0, 40.0)
            self._begin_storm(storm)
            await scheduler.run(until=storm)
            self._begin_calm()
            await self._run_dry()
        await self._invariants.check_end(self._wishes)

    async def _run_dry(self) -> None:
        given_up = self._scheduler.now + _PATIENCE_SECONDS
        while self._scheduler.now < given_up:
            await self._scheduler.run(until=self._scheduler.now + 4.0)
            left = await self._database.rows(
                "SELECT state FROM crescendo.orchestrations"
                " WHERE state NOT IN ('completed', 'failed', 'cancelled')"
            )
            if not left and all(wish.answered for wish in self._wishes):
                # Everybody goes; what is still under way arrives, and the sessions left behind end.
                self._is_over = True
                # One that was lost all the time would let a search run again with nobody there.
                self.network.closed_to.add("extend")
                for each in (*self._workers, *self._coordinators):
                    each.kill()
                await self._let_arrive()
                await self._scheduler.run(until=self._scheduler.now + _SETTLING_SECONDS)
                return
        raise Violation(f"I9: not quiet {_PATIENCE_SECONDS:g} s after the last fault")

    async def _let_arrive(self) -> None:
        """Lets what nobody waits for any more arrive: a worker's registration begins a session even then."""
        while self.network.under_way:
            await self._scheduler.run(until=self._scheduler.now + 1.0)

    # What there is.

    def _start_replica(self, place: int) -> None:
        cases = use_cases(_SETTINGS, self._database.database, random=self._random)
        replica = Replica(self._scheduler, f"s{place}", cases)
        replicas = self._parts.replicas
        replicas[place : place + 1] = [replica]
        reaper = Reaper(
            cases.sessions, lease_seconds=LEASE_SECONDS, monotonic=lambda: self._scheduler.now
        )
        keeper = Keeper(
            PostgresDue(self._database.database),
            PostgresStorage(self._database.database),
            cases.feed,
            lease_seconds=LEASE_SECONDS,
            monotonic=lambda: self._scheduler.now,
        )
        self._scheduler.after(
            self._random.uniform(0, _TICK_SECONDS), lambda: self._tick(replica, reaper, keeper)
        )

    async def _tick(self, replica: Replica, reaper: Reaper, keeper: Keeper) -> None:
        if not replica.is_alive:
            return
        if not replica.is_frozen:
            await reaper.tick()
            await keeper.tick()
            await self._bring_orders(replica)
        delay = max(_TICK_SECONDS, replica.frozen_until - self._scheduler.now)
        self._scheduler.after(delay, lambda: self._tick(replica, reaper, keeper))

    async def _bring_orders(self, replica: Replica) -> None:
        listening = {
            each.stream[1]: each
            for each in self._workers
            if each.stream and each.stream[0] is replica
        }
        if not listening:
            return
        store = PostgresSessions(self._database.database)
        try:
            stops = await store.take_stops(sorted(listening))
        except CrescendoError:
            return
        for session, trial in stops:
            if self._random.random() >= self.network.weather.lost:
                listening[session].obey([Order(kind=OrderKind.CANCEL, trial=trial)])

    def _start_worker(self) -> None:
        if self._is_over:
            return
        self._made += 1
        random = self._random
        slots = random.randint(1, 3)
        self._workers.append(
            Worker(self._parts, f"w{self._made}", slots=slots, failing=self._failing)
        )

    def _stream_breaks(self, worker: Worker) -> None:
        """The store finds a worker's stream broken, unless it is gone itself."""
        if worker.stream is None:
            return
        replica, session, listener = worker.stream
        worker.stream = None

        async def found() -> None:
            if replica.is_alive and not replica.is_frozen:
                try:
                    await replica.cases.sessions.stream_broke(session, listener)
                except CrescendoError:
                    return

        self._scheduler.after(self._random.choice((0.1, 1.0, 8.0)), found)

    # What goes wrong.

    def _begin_storm(self, seconds: float) -> None:
        random = self._random
        rates = (0.0, 0.02, 0.1)
        self.network.weather = Weather(
            lost=random.choice(rates), doubled=random.choice(rates), late=random.choice(rates)
        )
        self._database.fault_rate = random.choice((0.0, 0.02, 0.08))
        for _ in range(random.randrange(14)):
            mishap = random.choice(_MISHAPS)
            self._scheduler.after(random.uniform(1.0, seconds), partial(self._strike, mishap))

    def _strike(self, mishap: str) -> None:
        self.network.note("chaos", mishap)
        random, after = self._random, self._scheduler.after
        workers = [each for each in self._workers if each.is_alive]
        worker = random.choice(workers) if workers else None
        place = random.randrange(2)
        seconds = random.choice((1.0, 6.0, 12.0, 25.0))
        if mishap == "kill worker" and worker:
            self._stream_breaks(worker)
            worker.kill()
            after(seconds, self._start_worker)
        elif mishap == "freeze worker" and worker:
            self._stream_breaks(worker)
            worker.freeze(seconds * 2)
        elif mishap == "drain worker" and worker:
            worker.drain()
            after(seconds, self._start_worker)
        elif mishap == "kill coordinator":
            self._coordinators[place].kill()
            after(seconds, lambda: self._start_coordinator(place))
        elif mishap == "freeze coordinator":
            self._coordinators[place].freeze(seconds * 2)
        elif mishap == "kill store":
            self._kill_replica(place)
            after(seconds, lambda: self._revive_replica(place))
        elif mishap == "freeze store":
            self._parts.replicas[place].freeze(seconds * 2)
        elif mishap == "database away":
            self._database.is_down = True
            after(seconds, self._database_back)
        elif mishap == "clock jumps":
            self._ahead += random.choice((5.0, 60.0, 3600.0))
        elif mishap == "queue wiped":
            self._parts.queue.wipe()
        elif mishap == "cut off":
            name = random.choice([*(each.name for each in workers), "c0", "c1", "s0", "s1"])
            self.network.cut_off.add(name)
            after(seconds, lambda: self.network.cut_off.discard(name))

    def _start_coordinator(self, place: int) -> None:
        if not self._coordinators[place].is_alive:
            self._made += 1
            self._coordinators[place] = Coordinator(self._parts, f"c{place}-{self._made}")

    def _kill_replica(self, place: int) -> None:
        replica = self._parts.replicas[place]
        replica.kill()
        for each in self._workers:
            if each.stream and each.stream[0] is replica:
                each.stream = None

    def _revive_replica(self, place: int) -> None:
        if not self._parts.replicas[place].is_alive:
            self._start_replica(place)

    def _database_back(self) -> None:
        self._database.is_down = False

    def _begin_calm(self) -> None:
        self.network.note("chaos", "calm")
        self._parts.is_calm = True
        self.network.weather = Weather()
        self.network.cut_off.clear()
        self._database.fault_rate = 0.0
        self._database_back()
        for place in range(2):
            self._start_coordinator(place)
            self._revive_replica(place)
        # Two at least, so that what must not run on one worker again finds another.
        while sum(each.is_alive for each in self._workers) < 2:
            self._start_worker()


@contextmanager
def _ids_of(random: Random) -> Iterator[None]:
    """Lets every UUID made in here follow from the seed."""
    real = uuid.uuid4

    def seeded() -> uuid.UUID:
        return uuid.UUID(int=random.getrandbits(128), version=4)

    uuid.uuid4 = seeded
    try:
        yield
    finally:
        uuid.uuid4 = real


async def prepare(database: FaultyDatabase) -> None:
    """Makes what all worlds have: a dataset and its model runs."""
    await database.rows(
        "INSERT INTO crescendo.datasets (dataset_id, tenant, name, task, target_column, row_count,"
        " column_names, column_types, missing_counts, class_labels, class_counts, content_hash,"
        " size_bytes, built_in) VALUES ('simulated', '', 'simulated', 'classification', 'y', 1,"
        " '{}', '{}', '{}', '{}', '{}', '', 0, true) ON CONFLICT DO NOTHING"
    )
    for each in MODEL_RUNS:
        await database.rows(
            "INSERT INTO crescendo.model_runs (model_run_id, tenant, experiment, dataset_id,"
            " model_type, fixed_parameters_proto, steps_proto) VALUES ($1, 'default', '',"
            " 'simulated', 'svm_classifier', '', '') ON CONFLICT DO NOTHING",
            each,
        )
