"""Optuna, sharing a study between processes through a storage.

As a program it is one of those processes: it connects, says `ready`, and runs its share once it is told to.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final
from urllib.parse import urlsplit

from benchmarks.peers import peer
from testbed.addresses import free_port
from testbed.guard import guarded, released
from testbed.paths import ROOT
from testbed.processes import service_environment

_PATIENCE_SECONDS: Final = 120.0
_RANGES: Final = {"a": (-1.0, 1.0), "b": (-1.0, 1.0), "c": (0.001, 10.0), "d": (0, 100)}


@dataclass(frozen=True, slots=True)
class Storage:
    """Where studies are kept; `kind` is `rdb` or `grpc`, `place` its URL or address."""

    kind: str
    place: str

    def open(self) -> Any:
        """Connects."""
        optuna = peer("optuna")
        if self.kind == "rdb":
            return optuna.storages.RDBStorage(self.place)
        host, _, port = self.place.partition(":")
        return peer("optuna.storages").GrpcStorageProxy(host=host, port=int(port))


def rdb(dsn: str) -> Storage:
    """Optuna's tables in a Postgres database; made here, so that no measurement pays for it."""
    peer("psycopg")
    storage = Storage("rdb", urlsplit(dsn)._replace(scheme="postgresql+psycopg").geturl())
    storage.open()
    return storage


@contextmanager
def grpc_proxy(storage: Storage) -> Iterator[Storage]:
    """Starts Optuna's gRPC proxy in front of a storage, as a process."""
    port = free_port()
    arguments = ["serve", "--kind", storage.kind, "--place", storage.place, "--port", str(port)]
    proxy = Storage("grpc", f"127.0.0.1:{port}")
    with _process(arguments):
        opened = proxy.open()
        opened.wait_server_ready(timeout=_PATIENCE_SECONDS)
        opened.close()
        yield proxy


def new_study(storage: Storage) -> str:
    """Makes a study. Returns: its name."""
    optuna = peer("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = f"bench-{uuid.uuid4().hex[:12]}"
    optuna.create_study(study_name=name, storage=storage.open())
    return name


def seconds_of(
    storage: Storage, *, sampler: str, trials: int, processes: int, study: str = ""
) -> float:
    """Runs trials that return at once, shared by processes that are warm. Returns: seconds.

    Args:
        sampler: `random` or `tpe`.
        processes: their number; the trials are shared among them evenly.
        study: goes on with this one; a new one by default.
    """
    name = study or new_study(storage)
    with ExitStack() as stack:
        runners = []
        for place in range(processes):
            share = trials // processes + (place < trials % processes)
            arguments = ["run", "--kind", storage.kind, "--place", storage.place]
            arguments += ["--study", name, "--sampler", sampler, "--seed", str(place)]
            runners.append(stack.enter_context(_process([*arguments, "--trials", str(share)])))
        for each in runners:
            _hear(each, "ready")
        begun = time.perf_counter()
        for each in runners:
            _pipe(each.stdin).write("go\n")
            _pipe(each.stdin).flush()
        for each in runners:
            _hear(each, "done")
        return time.perf_counter() - begun


def _hear(process: subprocess.Popen[str], word: str) -> None:
    said = _pipe(process.stdout).readline().strip()
    if said != word:
        raise RuntimeError(f"Optuna's process said {said!r} instead of {word!r}")


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise RuntimeError("a process of Optuna's has no pipe")
    return stream


@contextmanager
def _process(arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.optuna_peer", *arguments],
        cwd=ROOT,
        env=service_environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    guarded(process.pid)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()
        released(process.pid)


def _objective(trial: Any) -> float:
    a = trial.suggest_float("a", *_RANGES["a"])
    b = trial.suggest_float("b", *_RANGES["b"])
    c = trial.suggest_float("c", *_RANGES["c"], log=True)
    d = trial.suggest_int("d", 0, 100)
    return float(a * a + b * b + c * c + d * d)


def _run(chosen: argparse.Namespace) -> None:
    optuna = peer("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = {
        "random": optuna.samplers.RandomSampler,
        "tpe": optuna.samplers.TPESampler,
    }
    storage = Storage(chosen.kind, chosen.place).open()
    study = optuna.load_study(
        study_name=chosen.study, storage=storage, sampler=samplers[chosen.sampler](seed=chosen.seed)
    )
    print("ready", flush=True)
    sys.stdin.readline()
    study.optimize(_objective, n_trials=chosen.trials)
    print("done", flush=True)


def _serve(chosen: argparse.Namespace) -> None:
    storage = Storage(chosen.kind, chosen.place).open()
    peer("optuna.storages").run_grpc_proxy_server(storage, host="127.0.0.1", port=chosen.port)


def main() -> None:
    """Is one of Optuna's processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "serve"])
    parser.add_argument("--kind", required=True)
    parser.add_argument("--place", required=True)
    parser.add_argument("--study")
    parser.add_argument("--sampler")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--port", type=int)
    chosen = parser.parse_args()
    {"run": _run, "serve": _serve}[chosen.command](chosen)


if __name__ == "__main__":
    main()
