"""What was measured, and on what."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import asyncpg
import psutil

from testbed.paths import ROOT

# Those whose speed is in the figures.
_PACKAGES = (
    "grpcio",
    "protobuf",
    "asyncpg",
    "aio-pika",
    "uvloop",
    "numpy",
    "scikit-learn",
    "optuna",
    "psycopg",
)


def commit() -> str:
    """The checkout's commit, with a `+` where files differ from it; empty outside a checkout."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return name + ("+" if changed else "")


def today() -> str:
    """The date, UTC."""
    return datetime.now(UTC).date().isoformat()


def description(postgres_dsn: str, *servers: str) -> str:
    """One paragraph: cores, memory, interpreter, packages, servers and what Postgres promises."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name)))
    return (
        f"{_processor()}, {usable} cores, {memory:.0f} GiB, {platform.system()};"
        f" Python {platform.python_version()}, {packages}; {'; '.join(servers)};"
        f" {asyncio.run(_durability(postgres_dsn))}."
    )


async def _durability(dsn: str) -> str:
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        found = [
            f"{name} = {await connection.fetchval(f'SHOW {name}')}"
            for name in ("fsync", "synchronous_commit", "full_page_writes")
        ]
    finally:
        await connection.close()
    return "Postgres with " + ", ".join(found)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [each.partition(":")[2].strip() for each in lines if each.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
