"""Which benchmarks there are, in the order of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """One benchmark: the name its rows begin with, its module, and what it is about."""

    name: str
    module: str
    about: str


PROGRAMS = (
    Program("P1", "benchmarks.p1_orchestration", "orchestration overhead"),
    Program("P2", "benchmarks.p2_fits", "tiny, medium and long fits"),
    Program("P3", "benchmarks.p3_pruning", "lossless fold pruning"),
    Program("P4", "benchmarks.p4_growth", "cost of a trial as a search grows"),
    Program("P5", "benchmarks.p5_suggestion", "time to suggest a point"),
    Program("P6", "benchmarks.p6_dispatch", "from a trial's end to the next one's start"),
    Program("P7", "benchmarks.p7_slots", "1-second trials on 16 slots"),
    Program("P8", "benchmarks.p8_watch", "1,000 watchers of one orchestration"),
    Program("P9", "benchmarks.p9_memory", "memory of a worker's processes"),
)
