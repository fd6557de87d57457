"""The list of guards fits the code: each stands where the list says, and each names tests that are there."""

from __future__ import annotations

import re

import pytest

from tests.faults.guards.catalogue import MUTATIONS
from tests.faults.mutations import ROOT, DoesNotApply, check_all_apply, mutated


def test_every_guard_stands_where_it_is_listed() -> None:
    check_all_apply(ROOT)
    assert len({each.guard for each in MUTATIONS}) == len(MUTATIONS)


def test_a_guard_that_moved_is_told() -> None:
    with pytest.raises(DoesNotApply, match="stands 0 times"):
        mutated("nothing of the kind", MUTATIONS[0])
    with pytest.raises(DoesNotApply, match="stands 2 times"):
        mutated(MUTATIONS[0].old * 2, MUTATIONS[0])


@pytest.mark.parametrize("test", sorted({test for each in MUTATIONS for test in each.tests}))
def test_every_named_test_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    text = (ROOT / "tests" / "integration" / "store" / file).read_text("utf-8")
    assert re.search(rf"^(async )?def {name or 'test_'}", text, re.MULTILINE)
