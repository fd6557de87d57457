"""docs/performance.md: the table between its markers; what people wrote around them stays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.catalogue import PROGRAMS
from benchmarks.rows import Row
from benchmarks.table import HEAD, line
from testbed.paths import ROOT

PAGE = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def write(
    rows: Mapping[str, Sequence[Row]], *, measured: str, machine: str, page: Path = PAGE
) -> str:
    """Puts rows in the place of those of the same benchmarks and keeps the lines of all others.

    Args:
        rows: by the benchmark's name.
        measured: when and at which commit, in a few words; stands beside each benchmark measured now.
        machine: a paragraph below the table; of the last run.

    Returns: what now stands between the markers.
    """
    before, _, rest = page.read_text("utf-8").partition(_BEGIN)
    old, _, after = rest.partition(_END)
    lines: list[str] = []
    for program in PROGRAMS:
        if program.name in rows:
            lines += [f"{line(each)} {measured} |" for each in rows[program.name]]
        else:
            lines += [each for each in old.splitlines() if _is_of(each, program.name)]
    head, rule = HEAD.splitlines()
    text = "\n".join([f"{head} measured |", f"{rule}---|", *lines, "", machine])
    page.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}", "utf-8")
    return text


def _is_of(table_line: str, name: str) -> bool:
    """Whether a line is a benchmark's: `| P2 |`, `| P2a |`, `| P2 long |`; not `| P20 |`."""
    return re.match(rf"\| {name}(?!\d)", table_line) is not None
