"""Real services on real servers, every connection through a link that may be broken."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from testbed.addresses import lasting_ports
from testbed.processes import (
    STOP_SECONDS,
    ServiceProcess,
    is_serving,
    service_environment,
    start_process,
)
from testbed.rabbit_node import RabbitNode
from tests.faults.support.audit import install_audit
from tests.faults.support.lookout import Lookout
from tests.faults.support.postgres_node import PostgresNode
from tests.faults.support.proxy import Link, Links
from tests.support.clients import Client

MARK = "FAULTS_FLEET"
POLL_SECONDS = 0.1

# Shorter leases than a person would set: what is shown is that they end, not how long an hour is.
QUICK_LEASES = {
    "CRESCENDO_LEASE_SECONDS": "6",
    "CRESCENDO_BEAT_SECONDS": "2",
    "CRESCENDO_SEARCHER_LEASE_SECONDS": "6",
    "CRESCENDO_DISPATCH_SECONDS": "15",
    "CRESCENDO_BOOKMARK_SECONDS": "2",
}
# For tests in which none may end, as on a busy machine a short one does whose worker is held up.
LONG_LEASES = {"CRESCENDO_LEASE_SECONDS": "60", "CRESCENDO_BEAT_SECONDS": "2"}


@dataclass(slots=True, eq=False, kw_only=True)
class Member:
    """One service of a fleet: its process, which may be replaced, and its links.

    Attributes:
        links: by what they lead to: `postgres`, `rabbitmq`, `store-0`, …
        addresses: where it serves, not through links.
        clients: where clients reach its public API, through a link.
    """

    role: str
    name: str
    environ: Mapping[str, str]
    folder: Path
    links: dict[str, Link] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    clients: str = ""
    process: ServiceProcess | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.popen.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Starts it, as often as wanted; waits until it serves."""
        self.process = start_process(
            self.name,
            ["-m", f"services.{self.role}"],
            environ=self.environ,
            folder=self.folder,
            addresses=self.addresses,
        )
        if wait:
            self.await_serving()

    def await_serving(self) -> None:
        """Waits until its health checks say SERVING; workers have none to ask."""
        self._running().await_serving()

    def serves(self) -> bool:
        """Whether it says now that it can do its work."""
        return self.alive and all(is_serving(each) for each in self.addresses)

    def kill(self) -> None:
        """Ends it by SIGKILL."""
        if self.alive:
            self._running().kill()

    def terminate(self) -> int:
        """Drains it by SIGTERM. Returns: its exit status."""
        return self._running().terminate()

    def freeze(self) -> None:
        """Takes the processor from it; its children run on."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Gives it back."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kills it if it runs, and starts it again."""
        self.kill()
        self.start()

    def children(self) -> list[psutil.Process]:
        """Everything it has started that lives."""
        try:
            found: list[psutil.Process] = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return found

    def _running(self) -> ServiceProcess:
        if self.process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self.process


@dataclass(slots=True, eq=False, kw_only=True)
class Fleet:
    """Stores, coordinators and workers on one Postgres and one RabbitMQ.

    Use as a context manager: entering starts everything, leaving ends everything, also what was frozen.

    Attributes:
        settings: `CRESCENDO_*` of all; `worker_environ` further variables of workers alone.
        secrets: planted passwords, which may show nowhere.
    """

    postgres: PostgresNode
    rabbitmq: RabbitNode
    links: Links
    folder: Path
    store_count: int = 1
    coordinator_count: int = 1
    worker_count: int = 2
    slots: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    worker_environ: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    stores: list[Member] = field(default_factory=list)
    coordinators: list[Member] = field(default_factory=list)
    workers: list[Member] = field(default_factory=list)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    database: str = ""
    queue_prefix: str = ""
    _clients: list[Client] = field(default_factory=list)
    _lookout: Lookout | None = None

    def __enter__(self) -> Self:
        self.database = f"faults_{self.mark[:16]}"
        self.queue_prefix = f"faults-{self.mark[:12]}"
        self.postgres.execute(f'CREATE DATABASE "{self.database}"')
        self._lookout = Lookout(self.dsn)
        try:
            for _ in range(self.store_count):
                self.add_store()
            # The workforce starts while it is still being told of the audit.
            for _ in range(self.coordinator_count):
                self.add_coordinator(wait=False)
            for _ in range(self.worker_count):
                self.add_worker()
            install_audit(self.dsn)
            for each in self.coordinators:
                each.await_serving()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """The fleet's database, not through a link."""
        return self.postgres.dsn_at(self.postgres.address, self.database)

    @property
    def members(self) -> list[Member]:
        return [*self.stores, *self.coordinators, *self.workers]

    @property
    def logs(self) -> list[Path]:
        """What the services wrote."""
        return sorted(self.folder.glob("*.log"))

    def add_store(self, *, environ: Mapping[str, str] | None = None) -> Member:
        """Starts one more store; those that run already do not know of it."""
        name = f"store-{len(self.stores)}"
        public, internal = (f"127.0.0.1:{port}" for port in lasting_ports(2))
        to_postgres = self.links.add(f"{name} → postgres", self.postgres.address)
        member = self._member(
            "store",
            name,
            {
                "CRESCENDO_POSTGRES_DSN": self.postgres.dsn_at(to_postgres.address, self.database),
                "CRESCENDO_STORE_LISTEN": public,
                "CRESCENDO_STORE_INTERNAL_LISTEN": internal,
                **(environ or {}),
            },
            links={"postgres": to_postgres, "clients": self.links.add(f"→ {name}", public)},
            addresses=(public, internal),
        )
        self.stores.append(member)
        member.start()
        return member

    def add_coordinator(
        self, *, environ: Mapping[str, str] | None = None, wait: bool = True
    ) -> Member:
        """Starts one more coordinator."""
        name = f"coordinator-{len(self.coordinators)}"
        (port,) = lasting_ports(1)
        address = f"127.0.0.1:{port}"
        links = {"clients": self.links.add(f"→ {name}", address)}
        member = self._member(
            "coordinator",
            name,
            {
                "CRESCENDO_COORDINATOR_LISTEN": address,
                **self._broker_settings(name, links),
                **self._store_settings(name, links),
                **(environ or {}),
            },
            links=links,
            addresses=(address,),
        )
        self.coordinators.append(member)
        member.start(wait=wait)
        return member

    def add_worker(self, *, environ: Mapping[str, str] | None = None) -> Member:
        """Starts one more worker; it takes trials as soon as it is up."""
        name = f"worker-{len(self.workers)}"
        links: dict[str, Link] = {}
        member = self._member(
            "worker",
            name,
            {
                "CRESCENDO_WORKER_SLOTS": str(self.slots),
                "CRESCENDO_WORKER_CACHE_DIR": str(self.folder / "cache"),
                **self._broker_settings(name, links),
                **self._store_settings(name, links),
                **self.worker_environ,
                **(environ or {}),
            },
            links=links,
        )
        self.workers.append(member)
        member.start()
        return member

    def client(self, *, store: int = 0, coordinator: int = 0) -> Client:
        """Gives a client that reaches one store and one coordinator through links."""
        client = Client(
            store_address=self.stores[store].clients,
            coordinator_address=self.coordinators[coordinator].clients,
        )
        self._clients.append(client)
        return client

    def counts(self) -> dict[str, int]:
        """Counts what is open, and the trials that have ended: see Lookout."""
        if self._lookout is None:
            raise RuntimeError("the fleet has not started")
        return self._lookout.counts()

    def worker_named(self, worker: str) -> Member:
        """Finds a worker by the name events know it by, `host:pid`."""
        for each in self.workers:
            if each.alive and worker.endswith(f":{each.pid}"):
                return each
        raise LookupError(f"no worker of the fleet is {worker}")

    def marked(self) -> list[psutil.Process]:
        """Every living process the fleet has brought about, however far down."""
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if each.environ().get(MARK) == self.mark and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
        return found

    def orphans(self) -> list[psutil.Process]:
        """Processes of the fleet that descend from none of its living services."""
        known = {
            pid
            for member in self.members
            if member.alive
            for pid in (member.pid, *(child.pid for child in member.children()))
        }
        return [each for each in self.marked() if each.pid not in known]

    def stop(self) -> None:
        """Ends everything and drops the database."""
        for client in self._clients:
            client.close()
        self.links.heal()
        running = [each for each in reversed(self.members) if each.alive]
        for each in running:
            each.thaw()
        for each in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for each in running:
            if each.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    each.process.popen.wait(max(0.1, deadline - time.monotonic()))
            each.kill()
        for each_left in self.marked():
            with contextlib.suppress(psutil.NoSuchProcess):
                each_left.kill()
        if self._lookout is not None:
            self._lookout.close()
        self.postgres.execute(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')

    def _member(
        self,
        role: str,
        name: str,
        environ: Mapping[str, str],
        *,
        links: dict[str, Link],
        addresses: tuple[str, ...] = (),
    ) -> Member:
        return Member(
            role=role,
            name=name,
            environ=service_environment(
                {
                    **QUICK_LEASES,
                    "CRESCENDO_LOG_LEVEL": "info",
                    "CRESCENDO_METRICS_LISTEN": "off",
                    "CRESCENDO_QUEUE_PREFIX": self.queue_prefix,
                    MARK: self.mark,
                    **self.settings,
                    **environ,
                }
            ),
            folder=self.folder,
            links=links,
            addresses=addresses,
            clients=links["clients"].address if "clients" in links else "",
        )

    def _broker_settings(self, name: str, links: dict[str, Link]) -> dict[str, str]:
        link = links["rabbitmq"] = self.links.add(f"{name} → rabbitmq", self.rabbitmq.address)
        return {"CRESCENDO_AMQP_URL": self.rabbitmq.url_at(link.address)}

    def _store_settings(self, name: str, links: dict[str, Link]) -> dict[str, str]:
        public: list[str] = []
        internal: list[str] = []
        for store in self.stores:
            for kind, addresses, target in zip(
                ("", "-internal"), (public, internal), store.addresses, strict=True
            ):
                link = self.links.add(f"{name} → {store.name}{kind}", target)
                links[store.name + kind] = link
                addresses.append(link.address)
        return {
            "CRESCENDO_STORE_ADDRESS": ",".join(public),
            "CRESCENDO_STORE_INTERNAL_ADDRESS": ",".join(internal),
        }


def wait_for(condition: Callable[[], bool], what: str, *, seconds: float) -> float:
    """Waits until something holds. Returns: how long it took, in seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began
