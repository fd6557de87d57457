"""What every benchmark's command line has in common: `python -m benchmarks.pN_name [--full]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path

from benchmarks.rows import Row, to_json
from benchmarks.table import table
from testbed.stopping import stop_on_signals


class Size(Enum):
    """How much is measured: in a minute or so, or the goal's full size."""

    QUICK = "quick"
    FULL = "full"


def run(measure: Callable[[Size], Sequence[Row]], about: str | None) -> None:
    """Measures and prints the rows.

    Args:
        about: the program's docstring, for --help.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="the goal's full size; may take hours")
    parser.add_argument("--json", type=Path, help="also write the rows into this file")
    chosen = parser.parse_args()
    # Ended from outside, it still stops the services it started.
    stop_on_signals()
    rows = measure(Size.FULL if chosen.full else Size.QUICK)
    if chosen.json:
        chosen.json.write_text(to_json(rows), "utf-8")
    print(table(rows))
