"""The worker's client against the real store: sessions end as the worker expects, data is what it says."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from sklearn.datasets import load_wine

from services.common.rpc.client import open_channel
from services.core.errors import CrescendoError, NotFound, Unavailable
from services.core.trial import TrialKey
from services.store.app import RunningStore, running_store
from services.store.settings import StoreSettings
from services.worker.adapters.dataset_folder import read_folder
from services.worker.adapters.datasets import DatasetCache
from services.worker.adapters.store_client import GrpcTrialStore
from services.worker.ports import TrialBatch
from services.worker.service.session import is_session_lost
from testbed.addresses import free_port
from tuning.v1 import dataset_service_pb2
from tuning.v1.dataset_service_pb2_grpc import DatasetServiceStub

DEADLINE = 60.0
STRANGER = str(uuid.UUID(int=7))


@pytest.fixture
async def store(fresh_postgres_dsn: str) -> AsyncIterator[RunningStore]:
    settings = StoreSettings(
        postgres_dsn=fresh_postgres_dsn,
        store_listen="127.0.0.1:0",
        store_internal_listen="127.0.0.1:0",
        drain_seconds=1.0,
    )
    async with running_store(settings) as store:
        yield store


@pytest.fixture
async def client(store: RunningStore) -> AsyncIterator[GrpcTrialStore]:
    async with open_channel(store.internal_address) as channel:
        yield GrpcTrialStore(channel)


def batch() -> TrialBatch:
    key = TrialKey(orchestration_id=STRANGER, number=0, attempt=0)
    return TrialBatch(orchestration_id=STRANGER, tuning_run_id=STRANGER, trials=(key,))


async def test_a_session_lives_until_it_is_closed(client: GrpcTrialStore) -> None:
    session = await client.register(worker_class="default", worker_name="w", slots=2)
    assert 0 < session.beat_seconds < session.lease_seconds
    assert await client.heartbeat(session.session_id, held=[], free_slots=2) == []
    await client.close_session(session.session_id)
    with pytest.raises(CrescendoError) as caught:
        await client.heartbeat(session.session_id, held=[], free_slots=2)
    assert is_session_lost(caught.value)


async def test_every_call_of_a_stranger_says_that_the_session_is_lost(
    client: GrpcTrialStore,
) -> None:
    async def listen() -> None:
        async for _ in client.listen(STRANGER):
            pass

    for call in (
        client.heartbeat(STRANGER, held=[], free_slots=1),
        client.claim(STRANGER, str(uuid.uuid4()), batch()),
        listen(),
    ):
        with pytest.raises(CrescendoError) as caught:
            await call
        assert is_session_lost(caught.value), caught.value


async def test_a_message_about_nothing_is_stale(client: GrpcTrialStore) -> None:
    session = await client.register(worker_class="default", worker_name="w", slots=1)
    claim = await client.claim(session.session_id, str(uuid.uuid4()), batch())
    assert (claim.trials, claim.stale) == ((), 1)


async def test_an_unknown_tuning_run_is_no_lost_session(client: GrpcTrialStore) -> None:
    with pytest.raises(NotFound) as caught:
        await client.evaluation_spec(STRANGER)
    assert not is_session_lost(caught.value)


async def test_a_built_in_dataset_arrives_as_scikit_learn_has_it(
    store: RunningStore, client: GrpcTrialStore, tmp_path: Path
) -> None:
    async with open_channel(store.address) as channel:
        described = await DatasetServiceStub(channel).GetDataset(
            dataset_service_pb2.GetDatasetRequest(dataset_id="sklearn:wine"), timeout=DEADLINE
        )
    content = b"".join([chunk async for chunk in client.download("sklearn:wine")])
    assert hashlib.sha256(content).hexdigest() == described.dataset.content_hash
    cache = DatasetCache(tmp_path, download=client.download, max_bytes=1 << 30)
    data = read_folder(await cache.folder("sklearn:wine", described.dataset.content_hash))
    features, target = load_wine(return_X_y=True)
    np.testing.assert_array_equal(data.features, features)
    np.testing.assert_array_equal(data.target, target)
    assert data.target.dtype == target.dtype


async def test_a_store_that_is_away_is_unavailable() -> None:
    async with open_channel(f"127.0.0.1:{free_port()}") as channel:
        client = GrpcTrialStore(channel)
        with pytest.raises(Unavailable):
            await client.register(worker_class="default", worker_name="w", slots=1)


async def test_an_order_stream_ends_with_its_store(
    fresh_postgres_dsn: str,
) -> None:
    settings = StoreSettings(
        postgres_dsn=fresh_postgres_dsn,
        store_listen="127.0.0.1:0",
        store_internal_listen="127.0.0.1:0",
        drain_seconds=1.0,
    )
    async with running_store(settings) as store:
        channel: grpc.aio.Channel = open_channel(store.internal_address)
        client = GrpcTrialStore(channel)
        session = await client.register(worker_class="default", worker_name="w", slots=1)
        listening = asyncio.create_task(_drain(client, session.session_id))
        await client.heartbeat(session.session_id, held=[], free_slots=1)
    async with asyncio.timeout(DEADLINE):
        assert await listening in ("ended", "broken")
    await channel.close(None)


async def _drain(client: GrpcTrialStore, session_id: str) -> str:
    try:
        async for _ in client.listen(session_id):
            pass
    except Unavailable:
        return "broken"
    return "ended"
