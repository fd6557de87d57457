"""Trials that misbehave, in processes that have the variables of `injected`."""

from __future__ import annotations

import os
from pathlib import Path

from testbed.processes import service_environment
from tests.support.injection import estimators

INJECTION = str(Path(estimators.__file__).parent)

GOOD = {"var_smoothing": 1e-9}
NAN = {"var_smoothing": 1100.0}
INFINITE = {"var_smoothing": 1101.0}
MINUS_INFINITE = {"var_smoothing": 1102.0}


def injected(**environ: str) -> dict[str, str]:
    """Gives variables under which a process takes faults inside of it: see `injection.sitecustomize`."""
    roots = service_environment({})["PYTHONPATH"]
    return {"PYTHONPATH": os.pathsep.join([roots, INJECTION]), **environ}


def smoothing(way: str) -> float:
    """Gives the `var_smoothing` of a trial that misbehaves by a function of `injection.misbehaviour`."""
    (value,) = (
        value for value, each in estimators.WAY_BY_SMOOTHING.items() if each.__name__ == way
    )
    return value


def trial(way: str) -> dict[str, float]:
    """Gives the parameters of such a trial of GaussianNB."""
    return {"var_smoothing": smoothing(way)}
