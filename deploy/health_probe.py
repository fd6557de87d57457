"""Asks the servers of this container's role whether they serve; exits 0 when all do.

A worker is no server of calls: it is healthy while it has a session with the store and consumes, as its
/readyz says; where that is turned off, while its process runs.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_LISTEN_VARIABLES = {
    "store": ("CRESCENDO_STORE_LISTEN", "CRESCENDO_STORE_INTERNAL_LISTEN"),
    "coordinator": ("CRESCENDO_COORDINATOR_LISTEN",),
    "worker": (),
    "embedded": ("CRESCENDO_STORE_LISTEN", "CRESCENDO_COORDINATOR_LISTEN"),
}


def role_of_first_process() -> str:
    """Reads the role from the command line of the container's first process."""
    arguments = Path("/proc/1/cmdline").read_text().split("\0")
    found = [each.removeprefix("services.") for each in arguments if each.startswith("services.")]
    return found[0] if found else next(each for each in arguments if each in _LISTEN_VARIABLES)


def is_serving(listen: str) -> bool:
    """Asks the server that listens on this address, from inside the container."""
    port = listen.rsplit(":", 1)[1]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=3)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def is_ready(listen: str) -> bool:
    """Asks /readyz, where it is served."""
    if listen in ("", "off"):
        return True
    port = listen.rsplit(":", 1)[1]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    role = sys.argv[1] if len(sys.argv) > 1 else role_of_first_process()
    names = _LISTEN_VARIABLES[role]
    healthy = all(is_serving(os.environ[name]) for name in names)
    if role == "worker":
        healthy = is_ready(os.environ.get("CRESCENDO_METRICS_LISTEN", "127.0.0.1:9053"))
    sys.exit(0 if healthy else 1)
