"""The store as a process, and a store whose database goes away and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import aclosing
from typing import Any

import asyncpg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.rpc.client import open_channel
from services.common.settings import SettingsError, load
from services.core.errors import Unavailable
from services.store.adapters.postgres.database import open_database
from services.store.app import UseCases, running_store, use_cases
from services.store.service.plans import Change
from services.store.service.watch import Page
from services.store.settings import StoreSettings
from testbed.addresses import lasting_ports
from testbed.databases import PostgresServer
from testbed.processes import START_SECONDS
from tests.integration.store.scenario import Scenario, until

_SERVING = health_pb2.HealthCheckResponse.SERVING


async def _start(dsn: str, *arguments: str, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.store",
        *arguments,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "CRESCENDO_POSTGRES_DSN": dsn,
            **variables,
        },
        stderr=asyncio.subprocess.PIPE,
    )


async def test_migrate_prepares_a_database(fresh_postgres_dsn: str) -> None:
    process = await _start(fresh_postgres_dsn, "migrate")
    async with asyncio.timeout(START_SECONDS):
        assert await process.wait() == 0
    connection = await asyncpg.connect(fresh_postgres_dsn)
    assert await connection.fetchval("SELECT count(*) FROM crescendo.orchestrations") == 0
    await connection.close()


async def test_a_process_serves_until_sigterm(fresh_postgres_dsn: str) -> None:
    public, internal = lasting_ports(2)
    process = await _start(
        fresh_postgres_dsn,
        CRESCENDO_STORE_LISTEN=f"127.0.0.1:{public}",
        CRESCENDO_STORE_INTERNAL_LISTEN=f"127.0.0.1:{internal}",
    )
    try:
        async with open_channel(f"127.0.0.1:{internal}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(), timeout=START_SECONDS, wait_for_ready=True
            )
            assert answer.status in (_SERVING, health_pb2.HealthCheckResponse.NOT_SERVING)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_wrong_settings_are_all_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            StoreSettings,
            {
                "CRESCENDO_LEASE_SECONDS": "20",
                "CRESCENDO_BEAT_SECONDS": "10",
                "CRESCENDO_MAX_UPLOAD_MIB": "0",
            },
        )
    assert "CRESCENDO_BEAT_SECONDS" in str(caught.value)
    assert "CRESCENDO_MAX_UPLOAD_MIB" in str(caught.value)


async def _accept(server: PostgresServer, name: str, *, connections: bool) -> None:
    admin = await asyncpg.connect(server.dsn)
    try:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {connections}')
        if not connections:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
    finally:
        await admin.close()


async def _paused(cases: UseCases, identifier: str) -> bool:
    """Pauses, unless the connections of this store are not back yet."""
    try:
        await cases.plans.change(identifier, Change.PAUSE)
    except Unavailable:
        return False
    return True


async def test_a_store_lives_through_an_outage_of_its_database(
    postgres_server: PostgresServer, fresh_postgres_dsn: str
) -> None:
    name = fresh_postgres_dsn.rsplit("/", 1)[1]
    settings = StoreSettings(
        postgres_dsn=fresh_postgres_dsn,
        store_listen="127.0.0.1:0",
        store_internal_listen="127.0.0.1:0",
        watch_poll_seconds=0.05,
        drain_seconds=0.5,
    )
    async with running_store(settings) as store, open_channel(store.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)

        async def serves() -> bool:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=60)
            return bool(answer.status == _SERVING)

        async def serves_not() -> bool:
            return not await serves()

        async with open_database(fresh_postgres_dsn) as database:
            cases = use_cases(settings, database)
            polling = asyncio.create_task(cases.feed.run())
            scenario = Scenario(cases, database)
            orchestration = await scenario.start()
            identifier = orchestration.orchestration_id
            watch = cases.watching.watch(identifier, after_sequence=0)
            async with aclosing(watch):
                first = await anext(watch)
                assert isinstance(first, Page)
                await _accept(postgres_server, name, connections=False)
                with pytest.raises(Unavailable) as caught:
                    await scenario.cases.runs.orchestration(identifier)
                assert caught.value.reason == "DATABASE_UNAVAILABLE"
                await until(serves_not)
                await _accept(postgres_server, name, connections=True)
                await until(serves)
                # The watch never noticed: it goes on where it was.
                await until(lambda: _paused(cases, identifier))
                async with asyncio.timeout(60):
                    second = await anext(watch)
                assert isinstance(second, Page)
                assert second.events[0].sequence == first.events[-1].sequence + 1
            polling.cancel()
