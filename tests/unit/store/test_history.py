"""When an epoch ends: whatever may have lost commits, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.store.service.history import (
    DatabaseIdentity,
    Observation,
    reasons_for_a_new_epoch,
)

_HERE = DatabaseIdentity(system_identifier="7", timeline=1, database_oid=10, table_oid=20)
_UNKNOWN = DatabaseIdentity(
    system_identifier=None, timeline=None, database_oid=None, table_oid=None
)


def _reasons(
    found: DatabaseIdentity = _HERE,
    stored: DatabaseIdentity = _HERE,
    *,
    flushed: int | None = 100,
    known_flushed: int = 100,
    known_epoch: str = "a",
    epoch: str = "a",
) -> list[str]:
    observation = Observation(epoch=epoch, stored=stored, found=found, flushed=flushed)
    return reasons_for_a_new_epoch(
        observation, known_epoch=known_epoch, known_flushed=known_flushed
    )


def test_the_same_database_is_the_same_history() -> None:
    assert _reasons() == []
    assert _reasons(flushed=5_000) == []
    assert _reasons(known_epoch="", known_flushed=0) == []


@pytest.mark.parametrize(
    "change",
    [{"system_identifier": "8"}, {"timeline": 2}, {"database_oid": 11}, {"table_oid": 21}],
    ids=lambda change: next(iter(change)),
)
def test_each_sign_of_another_database_ends_the_epoch(change: dict[str, Any]) -> None:
    assert _reasons(replace(_HERE, **change)) == list(change)


def test_what_is_not_known_tells_nothing() -> None:
    assert _reasons(_UNKNOWN, flushed=None) == []
    assert _reasons(_HERE, _UNKNOWN) == []
    one = replace(_UNKNOWN, timeline=2)
    assert _reasons(one) == ["timeline"]


def test_less_on_disk_than_was_seen_means_lost_commits() -> None:
    assert _reasons(flushed=99) == ["flushed"]
    # Where somebody has begun an epoch since, what was seen belongs to the one before.
    assert _reasons(flushed=99, epoch="b") == []
    # A process that has just started has seen nothing.
    assert _reasons(flushed=99, known_epoch="") == []


def test_knowledge_is_filled_in_and_never_lost() -> None:
    assert _UNKNOWN.filled_from(_HERE) == _HERE
    assert _HERE.filled_from(_UNKNOWN) == _HERE
    newer = replace(_HERE, timeline=2)
    assert newer.filled_from(_HERE) == newer
