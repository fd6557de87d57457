"""The two programs of the container image beside the services."""

from __future__ import annotations

import subprocess
import sys

from testbed.paths import ROOT
from testbed.processes import Cluster, service_environment

PROBE = ROOT / "deploy" / "health_probe.py"
ENTRYPOINT = ROOT / "deploy" / "entrypoint.sh"


def _probe(role: str, **variables: str) -> int:
    done = subprocess.run(
        [sys.executable, PROBE, role], env=service_environment(variables), timeout=60, check=False
    )
    return done.returncode


def test_the_health_probe_says_whether_the_servers_of_a_role_serve(cluster: Cluster) -> None:
    listen = {
        "CRESCENDO_STORE_LISTEN": cluster.store_address,
        "CRESCENDO_STORE_INTERNAL_LISTEN": cluster.store_internal_address,
        "CRESCENDO_COORDINATOR_LISTEN": cluster.coordinator_address,
    }
    assert _probe("store", **listen) == 0
    assert _probe("coordinator", **listen) == 0
    assert _probe("worker", CRESCENDO_METRICS_LISTEN="off") == 0
    assert _probe("worker", CRESCENDO_METRICS_LISTEN="127.0.0.1:1") == 1
    silent = {**listen, "CRESCENDO_COORDINATOR_LISTEN": "127.0.0.1:1"}
    assert _probe("coordinator", **silent) == 1


def test_the_entrypoint_refuses_an_unknown_role() -> None:
    done = subprocess.run(
        ["sh", ENTRYPOINT, "conductor"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "store, coordinator, worker or embedded" in done.stderr
