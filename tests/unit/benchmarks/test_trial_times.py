"""How long slots stood empty, from when trials began and ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.percentiles import percentile
from benchmarks.trial_times import TrialTime, gaps, read_times


def test_each_end_is_followed_by_the_start_in_the_slot_it_freed() -> None:
    # Two slots: one runs 0-1, 1.5-4, the other 0-2, 2.25-3.
    times = [TrialTime(0.0, 1.0), TrialTime(0.0, 2.0), TrialTime(1.5, 4.0), TrialTime(2.25, 3.0)]
    assert gaps(times, 2) == [0.5, 0.25]


def test_times_are_read_as_workers_wrote_them(tmp_path: Path) -> None:
    (tmp_path / "7.times").write_text("0.5 1.5\n1.75 2.0\n", "utf-8")
    assert read_times(tmp_path) == {"7": [TrialTime(0.5, 1.5), TrialTime(1.75, 2.0)]}


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert percentile(values, 0.50) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile(values, 1.0) == 100.0
    assert percentile(values, 0.0) == 1.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
