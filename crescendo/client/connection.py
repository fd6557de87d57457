"""The connections every part of the client calls through."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Self, TypeVar

from crescendo.client.addresses import find_addresses
from crescendo.client.transport import connect
from tuning.v1.dataset_service_pb2_grpc import DatasetServiceStub
from tuning.v1.model_service_pb2_grpc import ModelServiceStub
from tuning.v1.orchestration_service_pb2_grpc import OrchestrationServiceStub
from tuning.v1.run_service_pb2_grpc import RunServiceStub
from tuning.v1.tuning_service_pb2_grpc import TuningServiceStub

ItemT = TypeVar("ItemT")

# Of listings; large enough to be few, small enough to be answered at once.
PAGE_SIZE = 500


class Connection:
    """Channels and stubs; a context manager."""

    def __init__(self, coordinator: str | None = None, store: str | None = None) -> None:
        addresses = find_addresses(coordinator, store, os.environ)
        self._coordinator = connect("coordinator", addresses.coordinator)
        self._store = connect("store", addresses.store)
        self._orchestrations = OrchestrationServiceStub(self._coordinator.channel)
        self._tunings = TuningServiceStub(self._coordinator.channel)
        self._datasets = DatasetServiceStub(self._store.channel)
        self._models = ModelServiceStub(self._store.channel)
        self._runs = RunServiceStub(self._store.channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; what was started goes on."""
        self._coordinator.channel.close()
        self._store.channel.close()


def pages(page: Callable[[str], tuple[Iterable[ItemT], str]]) -> Iterator[ItemT]:
    """Yields the items of all pages, asking for each when it is reached."""
    token = ""
    while True:
        items, token = page(token)
        yield from items
        if not token:
            return
