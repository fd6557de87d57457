"""Admission: as many as the limit, each place given back once."""

from __future__ import annotations

import pytest

from services.core.errors import Exhausted
from services.store.service.admission import Admission


def test_the_one_too_many_is_told_when_to_come_again() -> None:
    admission = Admission(2)
    tickets = [admission.admit(after_sequence=None) for _ in range(2)]
    for cursor in (None, 7):
        with pytest.raises(Exhausted) as caught:
            admission.admit(after_sequence=cursor)
        assert caught.value.reason == "TOO_MANY_WATCHES"
        assert caught.value.retry_seconds > 0
        assert caught.value.metadata.get("last_sequence") == (None if cursor is None else "7")
    tickets[0].release()
    admission.admit(after_sequence=0)


def test_a_ticket_given_back_twice_frees_one_place() -> None:
    counts: list[int] = []
    admission = Admission(2, changed=counts.append)
    first, _ = (admission.admit(after_sequence=None) for _ in range(2))
    first.release()
    first.release()
    assert counts == [1, 2, 1]
    admission.admit(after_sequence=None)
    with pytest.raises(Exhausted):
        admission.admit(after_sequence=None)
