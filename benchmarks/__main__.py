"""Runs the benchmarks, each as a process of its own, and writes docs/performance.md.

`python -m benchmarks` runs all of them in under ten minutes, `python -m benchmarks P1 P4` some, `--full` at
full size. One that fails is said in the table; the others still run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, report
from benchmarks.catalogue import PROGRAMS, Program
from benchmarks.rows import Row, failed, from_json
from benchmarks.stack import Servers, servers
from testbed.brokers import URL_VARIABLE
from testbed.databases import DSN_VARIABLE
from testbed.guard import guarded, released
from testbed.paths import ROOT

# Far above what each takes: a benchmark that hangs must not hold up the others.
_QUICK_SECONDS, _FULL_SECONDS = 600.0, 4 * 3600.0
_TAIL = 300


def main() -> None:
    """Runs, reports, and ends with status 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="P1", help="only these; all without any")
    parser.add_argument("--full", action="store_true", help="full size; may take hours")
    chosen = parser.parse_args()
    known = {each.name: each for each in PROGRAMS}
    if unknown := sorted(set(chosen.names) - set(known)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    programs = [each for each in PROGRAMS if not chosen.names or each.name in chosen.names]
    size = "full" if chosen.full else "quick"
    measured = f"{machine.today()}, {machine.commit()}, {size}"
    with servers() as on:
        rows = {each.name: _rows(each, on, full=chosen.full) for each in programs}
        about = machine.description(on.postgres.dsn, on.postgres.description, on.rabbitmq)
    print(report.write(rows, measured=measured, machine=f"Machine of the last run: {about}"))
    if any(row.note.startswith("failed: ") for found in rows.values() for row in found):
        sys.exit(1)


def _rows(program: Program, on: Servers, *, full: bool) -> Sequence[Row]:
    if importlib.util.find_spec(program.module) is None:
        return [failed(program.name, program.about, f"there is no {program.module} yet")]
    begun = time.monotonic()
    print(f"{program.name}: {program.about} …", flush=True)
    with tempfile.TemporaryDirectory(prefix="crescendo-bench-") as folder:
        answer = Path(folder) / "rows.json"
        error = _run(program, on, answer, full=full)
        if error:
            return [failed(program.name, program.about, error)]
        print(f"{program.name}: {time.monotonic() - begun:.0f} s", flush=True)
        return from_json(answer.read_text("utf-8"))


def _run(program: Program, on: Servers, answer: Path, *, full: bool) -> str:
    """Runs one to its end; gives what went wrong, or nothing."""
    limit = _FULL_SECONDS if full else _QUICK_SECONDS
    arguments = [sys.executable, "-m", program.module, "--json", str(answer)]
    log = answer.with_name("log.txt")
    with log.open("wb") as sink:
        started = subprocess.Popen(
            [*arguments, "--full"] if full else arguments,
            cwd=ROOT,
            env=_environment(on),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        guarded(started.pid)
        try:
            status = started.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            # Asked first: it stops the services it started.
            if started.poll() is None:
                started.terminate()
                started.wait()
            released(started.pid)
    if status == 0:
        return ""
    said = log.read_text("utf-8", errors="replace").strip()
    print(said, file=sys.stderr)
    if status is None:
        return f"not done after {limit:g} s"
    return f"ended with {status}: {said[-_TAIL:]}"


def _environment(on: Servers) -> dict[str, str]:
    return {**os.environ, DSN_VARIABLE: on.postgres.dsn, URL_VARIABLE: on.amqp_url}


if __name__ == "__main__":
    main()
