"""How a process ends: after a signal with 0, after the loss of a critical task with 70, always drained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PROGRAM = """
import asyncio, contextlib, os, sys, time

HOW, DRAIN = sys.argv[1:]
from services.common import lifecycle
from services.common.telemetry import configure_logging

configure_logging("store", level="info", log_format="json")

async def forever():
    await asyncio.get_running_loop().create_future()

async def dies():
    await asyncio.sleep(0.01)
    if HOW == "raises":
        raise RuntimeError("amqp://me:hunter2@broker/ broke")
    if HOW == "lasts":
        await forever()

@contextlib.asynccontextmanager
async def service(vitals):
    if HOW == "cannot start":
        raise OSError("postgresql://me:hunter2@db/x is taken")
    task = vitals.start("heart", dies())
    print("up", flush=True)
    yield
    print("draining", flush=True)
    if DRAIN == "hangs":
        time.sleep(600)
    if DRAIN == "slow":
        await forever()
    await task.stop()
    print("drained", flush=True)

sys.exit(lifecycle.run_service(service, failed_drain_seconds=0.5 if DRAIN else 60))
"""


@contextmanager
def _running(how: str, *, drain: str = "") -> Iterator[subprocess.Popen[str]]:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, how, drain],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_a_critical_task_that_raises_ends_the_process_drained_and_loudly() -> None:
    with _running("raises") as process:
        status, output, errors = _end(process)
    assert status == 70
    assert output.split() == ["up", "draining", "drained"]
    assert '"level": "critical"' in errors
    assert "RuntimeError" in errors
    assert "hunter2" not in errors


def test_a_critical_task_that_just_ends_does_so_too() -> None:
    with _running("ends") as process:
        status, output, _ = _end(process)
    assert (status, output.split()) == (70, ["up", "draining", "drained"])


def test_a_signal_drains_and_ends_with_0() -> None:
    with _running("lasts") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        status, output, _ = _end(process)
    assert (status, output.split()) == (0, ["draining", "drained"])


def test_a_second_signal_while_draining_ends_at_once() -> None:
    with _running("lasts", drain="slow") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "draining\n"
        process.send_signal(signal.SIGTERM)
        status, output, _ = _end(process)
    assert (status, output) == (-signal.SIGTERM, "")


def test_a_drain_that_hangs_after_a_failure_is_cut_off_even_when_the_loop_is_blocked() -> None:
    for drain in ("slow", "hangs"):
        with _running("raises", drain=drain) as process:
            status, output, errors = _end(process)
        assert (status, output.split()) == (70, ["up", "draining"])
        assert "took too long" in errors


def test_what_keeps_a_service_from_starting_is_logged_without_secrets_and_becomes_status_1() -> (
    None
):
    with _running("cannot start") as process:
        status, _, errors = _end(process)
    assert status == 1
    assert "is taken" in errors
    assert "hunter2" not in errors
