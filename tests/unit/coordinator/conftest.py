"""A store that remembers requests, and what starts searches in it."""

from __future__ import annotations

import pytest

from services.coordinator.service.bell import Bell
from services.coordinator.service.starting import Starting
from tests.unit.coordinator.request_store import MemoryRequestStore


@pytest.fixture
def store() -> MemoryRequestStore:
    return MemoryRequestStore()


@pytest.fixture
def starting(store: MemoryRequestStore) -> Starting:
    return Starting(store=store, leases=Bell(), trial_timeout_seconds=None, price_per_hour=None)
