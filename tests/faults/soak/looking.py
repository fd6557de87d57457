"""Questions to the database and to the logs, for measurements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from testbed.addresses import run_apart

_SINCE = """
SELECT extract(epoch FROM at - $1)::float8 AS seconds
FROM faults.transitions
WHERE at > $1 AND old_state = $2 AND new_state = $3
ORDER BY at
"""


def database_time(dsn: str) -> datetime:
    """Gives the database's time."""
    found: datetime = _ask(dsn, "SELECT clock_timestamp() AS now")[0]["now"]
    return found


def requeues_since(dsn: str, moment: datetime) -> list[float]:
    """Gives how long after a moment each trial left running without an end, in seconds."""
    return [row["seconds"] for row in _ask(dsn, _SINCE, moment, "running", "queued")]


def claims_since(dsn: str, moment: datetime) -> list[float]:
    """Gives how long after a moment each trial was claimed, in seconds."""
    return [row["seconds"] for row in _ask(dsn, _SINCE, moment, "queued", "running")]


def running_trials(dsn: str) -> int:
    """Counts trials that run."""
    row = _ask(dsn, "SELECT count(*) AS n FROM crescendo.trials WHERE state = 'running'")[0]
    return int(row["n"])


def busy_workers(dsn: str) -> list[str]:
    """Names the workers that run trials, `host:pid`, the longest at it first."""
    rows = _ask(
        dsn,
        "SELECT worker FROM crescendo.trials WHERE state = 'running'"
        " GROUP BY worker ORDER BY min(started_at)",
    )
    return [str(row["worker"]) for row in rows]


def searcher_owner(dsn: str, orchestration_id: str) -> str:
    """Names the coordinator that decides for a search; empty when none does."""
    rows = _ask(
        dsn,
        "SELECT searcher_owner FROM crescendo.tuning_runs"
        " WHERE orchestration_id = $1 AND state = 'running' AND searcher_until > clock_timestamp()",
        orchestration_id,
    )
    return str(rows[0]["searcher_owner"] or "") if rows else ""


def stale_share(logs: Sequence[Path], trials: int) -> float:
    """Gives the share of trials that came to a worker in a message that was stale, by the workers' logs."""
    stale = 0
    for path in logs:
        if path.name.startswith("worker"):
            for line in path.read_text(errors="replace").splitlines():
                if '"stale message"' in line:
                    stale += int(json.loads(line).get("stale", 1))
    return stale / trials


def _ask(dsn: str, query: str, *arguments: Any) -> list[Any]:
    return run_apart(_fetch(dsn, query, *arguments))


async def _fetch(dsn: str, query: str, *arguments: Any) -> list[Any]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        rows: list[Any] = await connection.fetch(query, *arguments)
    finally:
        await connection.close()
    return rows
