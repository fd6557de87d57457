"""Starts the services as real processes and leaves none of them behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from testbed.addresses import lasting_ports
from testbed.guard import guarded, released
from testbed.paths import ROOT

START_SECONDS = 120.0
STOP_SECONDS = 60.0
_LOG_TAIL = 12_000


@dataclass(slots=True, kw_only=True)
class ServiceProcess:
    """One service started from the command line, with everything it wrote."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    addresses: tuple[str, ...] = ()

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group."""
        return self.popen.pid

    def kill(self) -> None:
        """Ends it by SIGKILL, as a crash would; its children are left to notice by themselves."""
        self.popen.kill()
        self.popen.wait(STOP_SECONDS)
        released(self.pid)

    def terminate(self) -> int:
        """Asks it to drain by SIGTERM and gives its exit status."""
        self.popen.terminate()
        status = self.popen.wait(STOP_SECONDS)
        released(self.pid)
        return status

    def clean_up(self) -> None:
        """Ends whatever is left of it, its children included."""
        descendants = _descendants(self.popen.pid)
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(STOP_SECONDS)
        released(self.pid)
        for child in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def await_serving(self) -> None:
        """Waits until health checks of all its addresses say SERVING."""
        deadline = time.monotonic() + START_SECONDS
        for address in self.addresses:
            while not is_serving(address):
                if self.popen.poll() is not None:
                    raise RuntimeError(
                        f"{self.name} ended with {self.popen.returncode}:\n{self.log_tail()}"
                    )
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} does not serve:\n{self.log_tail()}")
                time.sleep(0.05)

    def log_tail(self) -> str:
        """The end of what it wrote."""
        text = self.log.read_text(errors="replace")
        return text if len(text) <= _LOG_TAIL else "…" + text[-_LOG_TAIL:]


def is_serving(address: str) -> bool:
    """Whether the server at the address says it can do its work."""
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def service_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without Crescendo's settings, and `extra`."""
    # Without the test run's own limits: services are started as a person starts them.
    environ = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("CRESCENDO_", "GRPC_")) and not key.endswith("_NUM_THREADS")
    }
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "protos" / "gen")])
    return environ | dict(extra)


def start_process(
    name: str,
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    folder: Path,
    addresses: Sequence[str] = (),
) -> ServiceProcess:
    """Starts `python ARGUMENTS` in `folder`, its output in a file there."""
    log = folder / f"{name}.log"
    with log.open("ab") as sink:
        popen = subprocess.Popen(
            [sys.executable, *arguments],
            env=dict(environ),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            # A Ctrl-C meant for pytest must not race with the harness's own clean-up.
            start_new_session=True,
        )
    guarded(popen.pid)
    return ServiceProcess(name=name, popen=popen, log=log, addresses=tuple(addresses))


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A store, a coordinator and any number of workers on one Postgres and one RabbitMQ.

    Use as a context manager: entering starts the store, the coordinator and `worker_count` workers.
    `worker_arguments` are what a worker's interpreter is started with.
    """

    postgres_dsn: str
    amqp_url: str
    queue_prefix: str
    folder: Path
    worker_count: int = 2
    worker_arguments: Sequence[str] = ("-m", "services.worker")
    settings: Mapping[str, str] = field(default_factory=dict)
    processes: list[ServiceProcess] = field(default_factory=list)
    store_address: str = ""
    store_internal_address: str = ""
    coordinator_address: str = ""

    def __enter__(self) -> Self:
        ports = lasting_ports(3)
        self.store_address, self.store_internal_address, self.coordinator_address = (
            f"127.0.0.1:{port}" for port in ports
        )
        try:
            self.start_store()
            self.start_coordinator()
            for number in range(self.worker_count):
                self.start_worker(f"worker-{number}")
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

    def start_store(self, name: str = "store") -> ServiceProcess:
        """Starts the store and waits until it serves."""
        addresses = [self.store_address, self.store_internal_address]
        return self._start(name, ["-m", "services.store"], addresses)

    def start_coordinator(self, name: str = "coordinator") -> ServiceProcess:
        """Starts a coordinator and waits until it serves."""
        return self._start(name, ["-m", "services.coordinator"], [self.coordinator_address])

    def start_worker(self, name: str) -> ServiceProcess:
        """Starts a worker; it takes trials as soon as it is up."""
        return self._start(name, self.worker_arguments, [])

    def workers(self) -> list[ServiceProcess]:
        """The workers that were started, dead ones included."""
        return [each for each in self.processes if each.name.startswith("worker")]

    def stop(self) -> None:
        """Stops everything in the reverse order of its start."""
        for process in reversed(self.processes):
            process.clean_up()

    def _start(self, name: str, arguments: Sequence[str], addresses: list[str]) -> ServiceProcess:
        process = start_process(
            name,
            arguments,
            environ=service_environment(self._settings()),
            folder=self.folder,
            addresses=addresses,
        )
        self.processes.append(process)
        process.await_serving()
        return process

    def _settings(self) -> dict[str, str]:
        return {
            "CRESCENDO_POSTGRES_DSN": self.postgres_dsn,
            "CRESCENDO_AMQP_URL": self.amqp_url,
            "CRESCENDO_QUEUE_PREFIX": self.queue_prefix,
            "CRESCENDO_STORE_LISTEN": self.store_address,
            "CRESCENDO_STORE_INTERNAL_LISTEN": self.store_internal_address,
            "CRESCENDO_COORDINATOR_LISTEN": self.coordinator_address,
            "CRESCENDO_STORE_ADDRESS": self.store_address,
            "CRESCENDO_STORE_INTERNAL_ADDRESS": self.store_internal_address,
            "CRESCENDO_COORDINATOR_ADDRESS": self.coordinator_address,
            "CRESCENDO_WORKER_SLOTS": "1",
            "CRESCENDO_WORKER_CACHE_DIR": str(self.folder / "cache"),
            "CRESCENDO_LOG_LEVEL": "info",
        } | dict(self.settings)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found
