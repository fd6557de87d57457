"""Folds of large data lie in files that all children map; scores are those of rows taken anew."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.model_selection import KFold

from services.core.objective import EvaluationSpec
from services.worker.adapters.evaluation import folds as folds_module
from services.worker.adapters.evaluation import shared_folds as module
from services.worker.adapters.evaluation.evaluator import PreparedEvaluation
from services.worker.adapters.evaluation.folds import FoldStore
from services.worker.adapters.evaluation.shared_folds import Split, shared_folds
from tests.integration.worker.datasets import built_in
from tests.integration.worker.oracle import evaluate

START_SECONDS = 120.0
FEATURES = np.random.default_rng(7).normal(size=(50, 3))


def splits(seed: int = 0, folds: int = 5) -> list[Split]:
    return list(KFold(folds, shuffle=True, random_state=seed).split(FEATURES))


def folders(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.is_dir())


def share_at_once(folder: Path, start: Any) -> None:
    start.wait(START_SECONDS)
    shared_folds(folder, FEATURES, splits())


def assert_are_those_rows(
    parts: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], expected: Sequence[Split]
) -> None:
    for (train, test), (train_rows, test_rows) in zip(parts, expected, strict=True):
        for mine, rows in ((train, train_rows), (test, test_rows)):
            assert mine.tobytes() == FEATURES[rows].tobytes()
            assert mine.shape == FEATURES[rows].shape
            assert mine.flags.c_contiguous
            assert not mine.flags.writeable


def test_parts_are_the_rows_of_each_split(tmp_path: Path) -> None:
    assert_are_those_rows(shared_folds(tmp_path, FEATURES, splits()), splits())


def test_rows_are_written_in_any_number_of_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 7 * FEATURES[:1].nbytes)
    assert_are_those_rows(shared_folds(tmp_path, FEATURES, splits()), splits())


def test_a_second_child_maps_the_files_of_the_first(tmp_path: Path) -> None:
    shared_folds(tmp_path, FEATURES, splits())
    (found,) = folders(tmp_path)
    before = (tmp_path / found / "train0.npy").stat()
    assert_are_those_rows(shared_folds(tmp_path, FEATURES, splits()), splits())
    after = (tmp_path / found / "train0.npy").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_other_splits_have_other_files(tmp_path: Path) -> None:
    first = shared_folds(tmp_path, FEATURES, splits(seed=1))
    second = shared_folds(tmp_path, FEATURES, splits(seed=2))
    assert len(folders(tmp_path)) == 2
    assert_are_those_rows(first, splits(seed=1))
    assert_are_those_rows(second, splits(seed=2))


def test_the_same_rows_cut_elsewhere_are_other_splits(tmp_path: Path) -> None:
    rows = np.arange(len(FEATURES))
    shared_folds(tmp_path, FEATURES, [(rows[:30], rows[30:])])
    cut = [(rows[:20], rows[20:])]
    assert_are_those_rows(shared_folds(tmp_path, FEATURES, cut), cut)


def test_what_was_not_used_for_longest_goes_and_stays_readable_where_it_is_mapped(
    tmp_path: Path,
) -> None:
    parts = shared_folds(tmp_path, FEATURES, splits(seed=0))
    (oldest,) = folders(tmp_path)
    os.utime(tmp_path / oldest, (0, 0))
    for seed in (1, 2, 3):
        shared_folds(tmp_path, FEATURES, splits(seed=seed))
    assert len(folders(tmp_path)) == 3
    assert oldest not in folders(tmp_path)
    assert_are_those_rows(parts, splits(seed=0))


def test_what_a_dead_writer_left_goes(tmp_path: Path) -> None:
    left = tmp_path / ".folds-half"
    left.mkdir()
    (left / "train0.npy").write_bytes(b"half")
    shared_folds(tmp_path, FEATURES, splits())
    assert not left.exists()


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 0

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)
    with pytest.raises(OSError, match="no room"):
        shared_folds(tmp_path, FEATURES, splits())
    assert folders(tmp_path) == []


def test_an_error_while_writing_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        shared_folds(tmp_path, FEATURES, splits())
    assert folders(tmp_path) == []


def test_nobody_waits_for_ever_for_a_writer_that_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.0)
    with (tmp_path / "folds.lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            shared_folds(tmp_path, FEATURES, splits())


def test_children_that_come_at_once_share_one_copy(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    children = [context.Process(target=share_at_once, args=(tmp_path, start)) for _ in range(3)]
    for each in children:
        each.start()
    for each in children:
        each.join()
    assert [each.exitcode for each in children] == [0, 0, 0]
    assert len(folders(tmp_path)) == 1
    assert_are_those_rows(shared_folds(tmp_path, FEATURES, splits()), splits())


def scores_of(folder: Path) -> tuple[tuple[float, ...], ...]:
    spec = EvaluationSpec(
        dataset_id="sklearn:breast_cancer",
        dataset_hash="",
        model_type="logistic_regression",
        metrics=("accuracy", "neg_log_loss"),
    )
    evaluated = evaluate(PreparedEvaluation(spec, folder, folds=FoldStore()), {"C": 0.5})
    assert evaluated.failure is None
    return tuple(each.scores for each in evaluated.metrics)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scores_are_the_same_kept_shared_and_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = built_in("breast_cancer").materialise(tmp_path / "data")
    kept = scores_of(folder)
    assert folders(folder) == []
    monkeypatch.setattr(folds_module, "_KEPT_FOLDS_BYTES", 0)
    shared = scores_of(folder)
    assert len(folders(folder)) == 1
    monkeypatch.setattr(folds_module, "_SHARED_FOLDS_BYTES", 0)
    assert shared == kept == scores_of(folder)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_where_folds_cannot_be_shared_each_fit_takes_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    folder = built_in("breast_cancer").materialise(tmp_path / "data")
    kept = scores_of(folder)
    monkeypatch.setattr(folds_module, "_KEPT_FOLDS_BYTES", 0)
    monkeypatch.setattr(folds_module, "shared_folds", refuse)
    assert scores_of(folder) == kept
    assert folders(folder) == []
