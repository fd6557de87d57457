"""Everything at once: searches that come and go, and every part killed, frozen and cut at random."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.support.fleet import Member
from tests.faults.support.proxy import Mode
from tests.faults.support.scenario import Asked, Scenario
from tests.faults.support.workloads import progressive, quick_grid, slow_grid

_MODES = (Mode.HOLE, Mode.HOLE_UP, Mode.HOLE_DOWN, Mode.STALL, Mode.REFUSE)
_OPEN_SEARCHES = 12
_WATCHERS = 24


@dataclass(slots=True, eq=False, kw_only=True)
class Storm:
    """Breaks and asks, by turns, until its time is over.

    Attributes:
        done: how often each thing was done.
        watched: searches somebody watches.
    """

    scenario: Scenario
    done: Counter[str] = field(default_factory=Counter)
    watched: set[str] = field(default_factory=set)

    def rage(self, seconds: float) -> None:
        """Rages for so long, then mends everything."""
        rng = self.scenario.rng
        faults: dict[Callable[[], None], float] = {
            self.kill_worker: 4,
            self.freeze_worker: 1,
            self.drain_worker: 1,
            self.kill_store: 2,
            self.freeze_store: 1,
            self.drain_store: 1,
            self.kill_coordinator: 2,
            self.freeze_coordinator: 1,
            self.kill_broker: 0.4,
            self.freeze_broker: 0.3,
            self.kill_database: 0.4,
            self.terminate_backends: 1,
            self.lose_answers: 1,
            self.cut_links: 3,
            self.break_links: 2,
        }
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for _ in range(rng.randint(1, 4)):
                self.ask_something()
            fault = rng.choices(list(faults), list(faults.values()))[0]
            fault()
            self.done[fault.__name__] += 1
            time.sleep(rng.uniform(0.2, 3.0))
        self.mend()

    def mend(self) -> None:
        """Heals, restarts and resumes everything, and has answers to all requests."""
        fleet = self.scenario.fleet
        fleet.links.heal()
        for each in fleet.members:
            if each.alive:
                each.thaw()
            else:
                each.start()
        for asked in self.scenario.asked:
            self.until_answered(asked)
            self.scenario.steer("Resume", asked)

    def ask_something(self) -> None:
        """Submits a search, or steers one."""
        scenario, rng = self.scenario, self.scenario.rng
        answered = [each for each in scenario.asked if each.answers]
        verb = rng.choices(
            ["submit", "Pause", "Resume", "Trigger", "Cancel", "Extend", "again"],
            [4, 1, 2, 0.3, 0.3, 1, 1],
        )[0]
        if verb == "submit" or not answered:
            if scenario.open_orchestrations() < _OPEN_SEARCHES:
                self.submit()
        elif verb == "again":
            scenario.repeat(rng.choice(scenario.asked))
        elif verb == "Extend":
            self.extend(rng.choice(answered))
        elif verb == "Trigger":
            # Ends stages early: how many trials there will be is not known any more.
            victims = [each for each in answered if each.trials is None]
            if victims:
                scenario.steer(verb, rng.choice(victims))
        else:
            scenario.steer(verb, rng.choice(answered[-_OPEN_SEARCHES:]))
        self.done[verb] += 1

    def submit(self) -> None:
        """Starts a search of a known size, and has it watched if there is room."""
        scenario, rng = self.scenario, self.scenario.rng
        seed = rng.getrandbits(30)
        kind = rng.choices(["quick", "slow", "progressive", "loose", "random"], [4, 2, 2, 1, 3])[0]
        count = rng.randint(5, 80)
        match kind:
            case "quick":
                body = quick_grid(scenario.subjects, count, random_state=seed)
                asked = scenario.tune(body, trials=count)
            case "slow":
                count = rng.randint(2, 12)
                body = slow_grid(scenario.subjects, count, trees=40, random_state=seed)
                asked = scenario.tune(body, trials=count)
            case "random":
                body = quick_grid(scenario.subjects, 900, random_state=seed)
                body |= {"tuning_method": "random_search", "n_iter": count}
                asked = scenario.tune(body, trials=count)
            case _:
                known = None if kind == "loose" else 14
                body = progressive(scenario.subjects, random_state=seed)
                asked = scenario.search(body, trials=known)
        if asked.answers and len(scenario.watchers) < _WATCHERS:
            scenario.watch(asked, 1, drops=20, snapshots=0.2, endless=True)
            self.watched.add(asked.orchestration_id)

    def extend(self, asked: Asked) -> None:
        """Adds trials to a search; what was not answered is asked again until it is."""
        if asked.body.get("tuning_method") != "random_search" or asked.trials is None:
            return
        more = self.scenario.rng.randint(1, 9)
        request_id = self.scenario.new_id()
        for _ in range(200):
            answer = self.scenario.steer(
                "Extend", asked, additional_trials=more, request_id=request_id
            )
            if answer == "OK":
                asked.trials += more
                return
            if answer == "StatusCode.FAILED_PRECONDITION":
                return
            time.sleep(0.2)
        raise AssertionError(f"an extension was never answered, last with {answer}")

    def until_answered(self, asked: Asked) -> None:
        """Repeats a request until it is answered."""
        for _ in range(100):
            if asked.answers or self.scenario.repeat(asked):
                return
            time.sleep(0.2)
        raise AssertionError(f"request {asked.request_id} was never answered")

    def kill_worker(self) -> None:
        self._pick("workers").restart()

    def drain_worker(self) -> None:
        worker = self._pick("workers")
        worker.terminate()
        worker.start()

    def freeze_worker(self) -> None:
        self._freeze("workers")

    def kill_store(self) -> None:
        self._restart_quickly("stores")

    def drain_store(self) -> None:
        store = self._pick("stores")
        store.terminate()
        store.start(wait=False)

    def freeze_store(self) -> None:
        self._freeze("stores")

    def kill_coordinator(self) -> None:
        self._restart_quickly("coordinators")

    def freeze_coordinator(self) -> None:
        self._freeze("coordinators")

    def kill_broker(self) -> None:
        self.scenario.fleet.rabbitmq.kill()
        time.sleep(self.scenario.rng.uniform(0, 8))
        self.scenario.fleet.rabbitmq.start()

    def freeze_broker(self) -> None:
        self.scenario.fleet.rabbitmq.freeze()
        time.sleep(self.scenario.rng.uniform(1, 35))
        self.scenario.fleet.rabbitmq.thaw()

    def kill_database(self) -> None:
        postgres = self.scenario.fleet.postgres
        self.scenario.rng.choice([postgres.kill, postgres.stop_immediately, postgres.stop])()
        time.sleep(self.scenario.rng.uniform(0, 5))
        postgres.start()

    def terminate_backends(self) -> None:
        self.scenario.fleet.postgres.terminate_backends(self.scenario.fleet.database)

    def lose_answers(self) -> None:
        for store in self.scenario.fleet.stores:
            store.links["postgres"].lose_answers(0.01)
        time.sleep(self.scenario.rng.uniform(1, 6))
        for store in self.scenario.fleet.stores:
            store.links["postgres"].heal()

    def cut_links(self) -> None:
        for link in self.scenario.fleet.links.all:
            if self.scenario.rng.random() < 0.5:
                link.cut()

    def break_links(self) -> None:
        rng = self.scenario.rng
        for link in rng.sample(self.scenario.fleet.links.all, 3):
            link.set_mode(rng.choice(_MODES))
        time.sleep(rng.uniform(0.5, 8))
        self.scenario.fleet.links.heal()

    def _pick(self, role: str) -> Member:
        members: list[Member] = getattr(self.scenario.fleet, role)
        member = self.scenario.rng.choice(members)
        if not member.alive:
            member.start()
        return member

    def _restart_quickly(self, role: str) -> None:
        member = self._pick(role)
        member.kill()
        time.sleep(self.scenario.rng.uniform(0, 2))
        member.start(wait=False)

    def _freeze(self, role: str) -> None:
        member = self._pick(role)
        with contextlib.suppress(ProcessLookupError):
            member.freeze()
        time.sleep(self.scenario.rng.uniform(0.5, 12))
        member.thaw()
