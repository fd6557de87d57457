"""Seeds of searchers."""

from __future__ import annotations

from services.coordinator.ports import SearchTask


def stage_seed(task: SearchTask) -> int:
    """Mixes the stage into the seed: two random stages of a plan must not draw the same points."""
    return task.seed + (task.stage_index << 32)
