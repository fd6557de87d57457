"""Rungs of training-set size are nested, stratified, and end with every row."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.training_sizes import (
    latest_order,
    plain_order,
    rung_rows,
    stratified_order,
    training_fractions,
)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 1000))
def test_the_first_rows_of_any_number_are_stratified(classes: list[int], seed: int) -> None:
    labels = np.array(classes)
    order = stratified_order(labels, seed=seed)
    assert sorted(order) == list(range(len(classes)))
    kinds = set(classes)
    for size in range(1, len(classes) + 1):
        first = labels[order[:size]]
        if size >= len(kinds):
            assert set(first) == kinds
        for each in kinds:
            share = size * classes.count(each) / len(classes)
            assert abs(np.sum(first == each) - share) < len(kinds)
    assert np.array_equal(order, stratified_order(labels, seed=seed))


def test_other_seeds_draw_other_rows() -> None:
    labels = np.arange(40) % 2
    assert not np.array_equal(stratified_order(labels, seed=1), stratified_order(labels, seed=2))
    assert not np.array_equal(plain_order(40, seed=1), plain_order(40, seed=2))
    assert sorted(plain_order(40, seed=1)) == list(range(40))
    assert list(latest_order(4)) == [3, 2, 1, 0]


@settings(max_examples=40)
@given(st.floats(0.001, 0.999), st.integers(2, 8))
def test_rungs_grow_by_their_factor_and_end_with_all_rows(smallest: float, growth: int) -> None:
    fractions = training_fractions(smallest, growth)
    assert fractions[0] == smallest
    assert fractions[-1] == 1.0
    for before, after in itertools.pairwise(fractions):
        assert before < after <= before * growth * (1 + 1e-5)
    for after, beyond in itertools.pairwise(fractions[:-1]):
        assert beyond == after * growth
    sizes = [rung_rows(100, each) for each in fractions]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 100


def test_a_third_of_thirty_rows_is_ten() -> None:
    assert rung_rows(30, 1 / 3) == 10
    assert rung_rows(30, 0.1) == 3
    assert rung_rows(31, 0.1) == 4
    assert rung_rows(3, 0.001) == 1
    assert training_fractions(1 / 9, 3) == (1 / 9, 1 / 3, 1.0)


@pytest.mark.parametrize(("smallest", "growth"), [(0.0, 2), (1.0, 2), (0.5, 1), (1e-9, 2)])
def test_impossible_rungs_are_refused(smallest: float, growth: int) -> None:
    with pytest.raises(ValueError, match=r"rungs"):
        training_fractions(smallest, growth)
