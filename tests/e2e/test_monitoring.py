"""Each real process answers probes and Prometheus, says what it cannot reach, and writes JSON lines only."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

import pytest

from testbed.processes import Cluster, ServiceProcess
from tests.support.clusters import ClusterStarter

_SECONDS = 120.0


def _lines(process: ServiceProcess) -> list[Mapping[str, object]]:
    # What is written at this moment has no end yet.
    whole, _, _ = process.log.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def _address(process: ServiceProcess) -> str:
    """Where it says that it answers; several processes of a machine cannot share a port."""
    found: list[str] = []

    def told() -> bool:
        found[:] = [
            str(line["address"]) for line in _lines(process) if line["event"] == "monitoring"
        ]
        return bool(found)

    _until(told)
    return found[-1]


def _get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _await_ready(*addresses: str) -> None:
    _until(lambda: all(_get(each, "/readyz")[0] == 200 for each in addresses))


def _process(cluster: Cluster, name: str) -> ServiceProcess:
    return next(each for each in cluster.processes if each.name == name)


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("store", "crescendo_store_database_ready 1.0"),
        ("coordinator", "crescendo_coordinator_store_ready 1.0"),
        ("worker-0", "crescendo_worker_slots 1.0"),
        ("worker-1", "crescendo_worker_slots 1.0"),
    ],
)
def test_each_process_is_alive_ready_and_measured(cluster: Cluster, name: str, series: str) -> None:
    address = _address(_process(cluster, name))
    assert _get(address, "/livez") == (200, "alive\n")
    _until(lambda: _get(address, "/readyz") == (200, "ready\n"))
    _until(lambda: series in _get(address, "/metrics")[1])


def test_a_store_that_is_killed_makes_the_others_unready_with_its_address(
    cluster_starter: ClusterStarter,
) -> None:
    cluster = cluster_starter.start()
    coordinator = _address(_process(cluster, "coordinator"))
    worker = _address(_process(cluster, "worker-0"))
    _await_ready(coordinator, worker)
    _process(cluster, "store").kill()
    _until(lambda: _get(coordinator, "/readyz")[0] == 503)
    _until(lambda: _get(worker, "/readyz")[0] == 503)
    assert (
        f"the store does not answer at {cluster.store_address}" in _get(coordinator, "/readyz")[1]
    )
    assert (
        f"no session with the store at {cluster.store_internal_address}"
        in (_get(worker, "/readyz")[1])
    )
    assert _get(worker, "/livez")[0] == 200
    cluster.start_store("store-again")
    _await_ready(coordinator, worker)
    # An outage is told of, not shouted about: gRPC tries anew several times a second.
    for name in ("coordinator", "worker-0"):
        said = [str(each["event"]) for each in _lines(_process(cluster, name))]
        assert len(said) < 200
    for process in cluster.processes:
        for line in _lines(process):
            assert line["role"] == process.name.split("-")[0]
            assert {"event", "level", "timestamp"} <= set(line)
            assert "guest:guest" not in json.dumps(line)
