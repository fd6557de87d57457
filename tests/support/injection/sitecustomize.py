"""Faults inside of processes; Python imports this module by itself where its folder is on PYTHONPATH.

In a worker's children some values of parameters misbehave: estimators that crash, eat memory, never
end; where `FAULTS_SIGNS` names a folder each child that begins to leaves a file there, and where
`FAULTS_GATE` names a file some wait for it. In any process `FAULTS_CLOCK_SECONDS` moves the wall clock,
and `FAULTS_DEATH` ("CreateTrials before", "CreateTrials after") ends it around a call. Nothing of this
is known to the services.
"""

from __future__ import annotations

import os
import sys


def _install() -> None:
    if "services.worker.child" in sys.orig_argv:
        from tests.support.injection import estimators

        estimators.install()
    shift = float(os.environ.get("FAULTS_CLOCK_SECONDS", "0"))
    if shift:
        from tests.support.injection import wrong_clock

        wrong_clock.install(shift)
    death = os.environ.get("FAULTS_DEATH")
    if death:
        from tests.support.injection import commit_edges

        commit_edges.install(*death.split())


_install()
