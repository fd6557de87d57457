"""Sample efficiency: the best score after 60 fits, by method, problem and seed.

`python -m benchmarks.quality run --seeds 30 --jobs 2` runs what is missing and may be killed and started
again; `python -m benchmarks.quality report` writes the table into docs/search.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.quality.report import table
from benchmarks.quality.running import outcomes, run

_ROOT = Path(__file__).resolve().parents[2]
_RESULTS = Path(__file__).with_name("results.jsonl")
_PAGE = _ROOT / "docs" / "search.md"
_BEGIN, _END = "<!-- quality: begin -->", "<!-- quality: end -->"


def main() -> None:
    """Runs searches, or reports what they found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("--seeds", type=int, default=30, help="seeds 0, 1, … of every search")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--problems", default="", help="only those whose half or name holds this")
    parser.add_argument("--methods", default="", help="only those whose name holds this")
    parser.add_argument("--results", type=Path, default=_RESULTS)
    chosen = parser.parse_args()
    if chosen.command == "run":
        run(
            chosen.results,
            seeds=chosen.seeds,
            jobs=chosen.jobs,
            problems=chosen.problems,
            methods=chosen.methods,
        )
        return
    text = _PAGE.read_text("utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    shown = table(outcomes(chosen.results))
    _PAGE.write_text(f"{before}{_BEGIN}\n\n{shown}\n\n{_END}{after}", "utf-8")
    print(shown)


if __name__ == "__main__":
    main()
