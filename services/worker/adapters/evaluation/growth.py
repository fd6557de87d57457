"""Telling a child that grows from trial to trial from one that has more to keep."""

from __future__ import annotations

from collections.abc import Callable

from services.worker.adapters.evaluation.limits import ChildLimits


class Growth:
    """What a child has for itself after its first trial on each data, and how far it went past that.

    Args:
        resident_bytes: gives the memory it has for itself now.
    """

    def __init__(self, limits: ChildLimits, resident_bytes: Callable[[], int]) -> None:
        self._limits = limits
        self._resident_bytes = resident_bytes
        self._usual_bytes: int | None = None
        self._kept_bytes = 0
        self._known: set[int] = set()

    def note(self, preparation: bytes | None, *, kept_bytes: int) -> None:
        """Notes the end of a trial.

        Args:
            preparation: says what data it was on.
            kept_bytes: what the child says it keeps of preprocessed folds; it is believed up to what
                it may keep.
        """
        self._kept_bytes = max(0, min(kept_bytes, self._limits.prefix_cache_bytes))
        if (known := hash(preparation)) not in self._known:
            # Other data may take more room, once.
            self._known.add(known)
            own = self._resident_bytes() - self._kept_bytes
            self._usual_bytes = max(self._usual_bytes or 0, own)

    def is_past_limit(self) -> bool:
        """Whether the child should be replaced before long: not for what it keeps on purpose."""
        if self._usual_bytes is None:
            return False
        own = self._resident_bytes() - self._kept_bytes
        return own > self._usual_bytes + self._limits.growth_bytes
