"""How many trials the workers can run at once, as last heard from the store."""

from __future__ import annotations

from collections.abc import Sequence

from services.coordinator.ports import WorkerClassStatus


class Capacity:
    """Shared by dispatching, which hears, and conducting, which plans."""

    def __init__(self) -> None:
        self._classes: tuple[WorkerClassStatus, ...] = ()

    def slots(self, worker_class: str) -> int:
        """Slots of the live workers of a class."""
        return sum(each.slots for each in self._classes if each.worker_class == worker_class)

    @property
    def classes(self) -> tuple[WorkerClassStatus, ...]:
        """The worker classes as last heard."""
        return self._classes

    def hear(self, classes: Sequence[WorkerClassStatus]) -> None:
        """Takes note of how the workers stand."""
        self._classes = tuple(classes)
