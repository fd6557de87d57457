"""Folds of large data in files that all children of a machine map: one copy of them, and not one for each.

They lie in the dataset's folder and go with it. Whoever comes first writes them; a folder of folds appears
complete, by a rename, under a lock that the kernel drops when its holder dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Split = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
Parts = tuple[npt.NDArray[Any], npt.NDArray[Any]]

# Of one dataset: searches with other splitters or seeds make others, and old ones are of no use to anyone.
_KEPT = 3
_PREFIX = "folds-"
_LOCK = "folds.lock"
_CHUNK_BYTES = 4 * 1024 * 1024
_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.02
# What is left free on the disk.
_SPARE_BYTES = 256 * 1024 * 1024


def shared_folds(folder: Path, features: npt.NDArray[Any], splits: Sequence[Split]) -> list[Parts]:
    """Maps the training and test rows of each split, written first where nobody has yet.

    Args:
        folder: the dataset's.
        features: all of its features, shape (n_rows, n_columns).
        splits: places of rows, by split; others with the same places share the files.

    Returns: per split, arrays as `features[train]` and `features[test]`, read-only.
    Raises: OSError, ValueError: they cannot be written or mapped here; nothing half-written stays.
    """
    own = folder / f"{_PREFIX}{_digest(splits)}"
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(lock)
        if own.is_dir():
            os.utime(own)
        else:
            _write(folder, own, features, splits)
        # What is mapped stays readable when the files go.
        return [
            (_map(own / f"train{at}.npy"), _map(own / f"test{at}.npy")) for at in range(len(splits))
        ]
    finally:
        os.close(lock)


def _digest(splits: Sequence[Split]) -> str:
    digest = hashlib.sha256()
    for rows in itertools.chain.from_iterable(splits):
        digest.update(len(rows).to_bytes(8, "little"))
        digest.update(rows.astype(np.int64).tobytes())
    return digest.hexdigest()[:32]


def _acquire(lock: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            # Its holder may be frozen; whoever waits can do with copies of its own.
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)


def _write(folder: Path, own: Path, features: npt.NDArray[Any], splits: Sequence[Split]) -> None:
    for abandoned in folder.glob(f".{_PREFIX}*"):
        # Of a process that died over it: whoever writes holds the lock.
        shutil.rmtree(abandoned, ignore_errors=True)
    known = sorted(folder.glob(f"{_PREFIX}*/"), key=lambda each: each.stat().st_mtime)
    for old in known[: max(0, len(known) - _KEPT + 1)]:
        shutil.rmtree(old, ignore_errors=True)
    needed = features.nbytes * len(splits)
    if shutil.disk_usage(folder).free < needed + _SPARE_BYTES:
        raise OSError(f"no room for {needed} bytes of folds")
    partial = folder / f".{_PREFIX}{uuid.uuid4().hex}"
    try:
        partial.mkdir()
        for at, (train, test) in enumerate(splits):
            _save(partial / f"train{at}.npy", features, train)
            _save(partial / f"test{at}.npy", features, test)
        partial.rename(own)
    finally:
        if partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def _save(path: Path, features: npt.NDArray[Any], rows: npt.NDArray[np.intp]) -> None:
    """Writes rows a few at a time: taken all at once they would be a copy more."""
    step = max(1, _CHUNK_BYTES // max(1, features[:1].nbytes))
    header = {
        "descr": np.lib.format.dtype_to_descr(features.dtype),
        "fortran_order": False,
        "shape": (len(rows), *features.shape[1:]),
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, len(rows), step):
            file.write(features[rows[first : first + step]].tobytes())
        file.flush()
        # A folder that looks complete is: also after the machine lost its power.
        os.fsync(file.fileno())


def _map(path: Path) -> npt.NDArray[Any]:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
