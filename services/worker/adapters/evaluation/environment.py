"""The environment children get."""

from __future__ import annotations

import os
from pathlib import Path

import services
from tuning.v1 import evaluation_messages_pb2 as pb

# One slot is one core: a child that started a thread per core would fight all the others.
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "LOKY_MAX_CPU_COUNT",
    ),
    "1",
)


def child_environment(environ: dict[str, str]) -> dict[str, str]:
    """Gives a child's environment: no settings of ours (they hold passwords), one thread."""
    roots = [str(Path(services.__path__[0]).parent), str(Path(pb.__file__).parents[2])]
    inherited = environ.get("PYTHONPATH")
    kept = {name: value for name, value in environ.items() if not name.startswith("CRESCENDO_")}
    path = os.pathsep.join([*roots, *([inherited] if inherited else [])])
    return {**kept, **_ONE_THREAD, "PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}
