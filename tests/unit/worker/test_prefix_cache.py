"""What is kept of preprocessed folds: bounded, read-only, and never driven out by its own trial."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from services.worker.adapters.evaluation.growth import Growth
from services.worker.adapters.evaluation.limits import MIB, ChildLimits
from services.worker.adapters.evaluation.prefix_cache import PrefixCache, Transformed


def made(kilobytes: int = 1) -> Transformed:
    """Two arrays, together of so many KiB."""
    return Transformed(train=np.ones((kilobytes, 64)), test=np.ones((kilobytes, 64)))


def test_what_was_kept_is_given_again_and_cannot_be_written_to() -> None:
    cache = PrefixCache(1 << 20)
    kept = made()
    cache.put("a", kept)
    found = cache.get("a")
    assert found is not None
    assert found.train is kept.train
    assert cache.held_bytes == 1024
    for array in (found.train, found.test):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 2.0
    assert cache.get("b") is None


def test_the_bound_holds_and_the_longest_unused_goes_first() -> None:
    cache = PrefixCache(3 * 1024)
    for key in "abc":
        cache.put(key, made())
    cache.begin_trial()
    cache.begin_trial()
    cache.get("a")
    cache.put("d", made())
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    assert cache.held_bytes == 3 * 1024


def test_folds_of_a_run_that_do_not_all_fit_do_not_drive_each_other_out() -> None:
    cache = PrefixCache(4 * 1024)
    found = []
    for _ in range(3):
        cache.begin_trial()
        for fold in range(5):
            if (kept := cache.get(fold)) is None:
                assert cache.put(fold, made()).train.flags.writeable == (fold == 4)
            found.append(kept is not None)
    assert found == [False] * 5 + [True, True, True, True, False] * 2


def test_what_is_larger_than_the_bound_drives_nothing_out() -> None:
    cache = PrefixCache(2 * 1024)
    cache.put("a", made())
    cache.begin_trial()
    cache.begin_trial()
    large = made(kilobytes=8)
    assert cache.put("b", large) is large
    assert cache.get("a") is not None


def test_of_a_view_all_that_stays_in_memory_is_counted() -> None:
    cache = PrefixCache(1 << 20)
    whole = np.ones((64, 16))
    cache.put("a", Transformed(train=whole[:, :2], test=whole[:2, :2]))
    assert cache.held_bytes == 2 * whole.nbytes


def test_writing_to_a_frame_that_was_lent_changes_nobody_elses() -> None:
    cache = PrefixCache(1 << 20)
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    lent = cache.put("a", Transformed(train=frame, test=frame.copy()))
    lent.train.loc[0, "a"] = 9.0
    lent.test["b"] = "z"
    found = cache.get("a")
    assert found is not None
    assert found.train["a"].tolist() == [1.0, 2.0]
    assert found.test["b"].tolist() == ["x", "y"]


def test_what_cannot_be_made_read_only_is_not_kept() -> None:
    cache = PrefixCache(1 << 20)
    matrix = Transformed(train=sparse.eye(3, format="csr"), test=sparse.eye(3, format="csr"))
    assert cache.put("a", matrix) is matrix
    assert cache.get("a") is None
    assert cache.held_bytes == 0


def test_a_child_keeps_an_eighth_of_its_trials_memory_or_what_it_is_told() -> None:
    assert ChildLimits().prefix_cache_bytes == 256 * MIB
    assert ChildLimits(memory_bytes=800 * MIB).prefix_cache_bytes == 100 * MIB
    assert ChildLimits(memory_bytes=8192 * MIB, prefix_bytes=10).prefix_cache_bytes == 10


def test_a_child_is_not_replaced_for_what_it_keeps_on_purpose() -> None:
    resident = 100
    growth = Growth(ChildLimits(growth_bytes=50, prefix_bytes=400), lambda: resident)
    assert not growth.is_past_limit()
    growth.note(b"data", kept_bytes=0)
    resident = 520
    growth.note(b"data", kept_bytes=400)
    assert not growth.is_past_limit()
    # A child that says it keeps more than it may is not believed.
    growth.note(b"data", kept_bytes=10_000)
    assert not growth.is_past_limit()
    resident = 551
    assert growth.is_past_limit()
    growth.note(b"other data", kept_bytes=0)
    assert not growth.is_past_limit()
