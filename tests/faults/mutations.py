"""Removes each guard of the store in turn and demands that a test fails: `make mutations`.

Every mutation is applied to a copy of the tree in a temporary folder, never to the checkout. One that
does not apply any more is an error: the guard moved, and this list has to follow.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.guards.catalogue import MUTATIONS
from tests.faults.guards.mutation import Mutation

ROOT = Path(__file__).parents[2]
_COPIED = ("services", "tests", "protos", "crescendo", "pyproject.toml")
_TESTS = "tests/integration/store"
# A mutated store may wait for ever: that is noticed too.
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one mutation; `caught_by` empty when no test failed."""

    mutation: Mutation
    caught_by: str
    seconds: float


class DoesNotApply(Exception):
    """The text of a guard is not (or not once) where it should be."""


def mutated(text: str, mutation: Mutation) -> str:
    """Removes a guard from a file's text. Raises: DoesNotApply."""
    found = text.count(mutation.old)
    if found != 1:
        raise DoesNotApply(
            f"{mutation.guard}: its text stands {found} times in {mutation.file}, must stand once:"
            f"\n{mutation.old}"
        )
    return text.replace(mutation.old, mutation.new)


def check_all_apply(root: Path) -> None:
    """Raises: DoesNotApply: naming every mutation that does not."""
    problems = []
    for each in MUTATIONS:
        try:
            mutated((root / each.file).read_text("utf-8"), each)
        except DoesNotApply as error:
            problems.append(str(error))
    if problems:
        raise DoesNotApply("\n\n".join(problems))


def copy_tree(target: Path) -> None:
    """Copies what the tests need."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)


def run_tests(tree: Path, tests: Sequence[str]) -> str:
    """Runs tests in a copy. Returns: the first one that failed; empty when none did."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [f"{_TESTS}/{each}" for each in tests]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tree}:{tree / 'protos' / 'gen'}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {_PATIENCE_SECONDS:g} s"
    if done.returncode == 0:
        return ""
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" ")[1].removeprefix(f"{_TESTS}/")
    # Neither passed nor failed: a mistake in this list, such as a test that was renamed.
    raise RuntimeError(f"the tests did not run:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def try_mutation(tree: Path, mutation: Mutation) -> Verdict:
    """Applies a mutation to a copy, runs its tests, and takes it back. Raises: DoesNotApply."""
    path = tree / mutation.file
    before = path.read_text("utf-8")
    began = time.monotonic()
    path.write_text(mutated(before, mutation), "utf-8")
    try:
        caught_by = run_tests(tree, mutation.tests)
    finally:
        path.write_text(before, "utf-8")
    return Verdict(mutation=mutation, caught_by=caught_by, seconds=time.monotonic() - began)


def check_untouched(tree: Path, mutations: Iterable[Mutation]) -> None:
    """Runs all named tests on the copy as it is. Raises: RuntimeError: one fails without a mutation."""
    tests = sorted({test for each in mutations for test in each.tests})
    failed = run_tests(tree, tests)
    if failed:
        raise RuntimeError(f"{failed} fails without any mutation")


def main() -> int:
    """Tries the mutations asked for. Returns: the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="guards whose names contain this")
    options = parser.parse_args()
    chosen = [each for each in MUTATIONS if options.only in each.guard]
    check_all_apply(ROOT)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="crescendo-mutations-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        check_untouched(tree, chosen)
        width = max((len(each.guard) for each in chosen), default=0)
        for each in chosen:
            verdict = try_mutation(tree, each)
            missed += not verdict.caught_by
            told = verdict.caught_by or "NOT CAUGHT"
            print(f"{each.guard:{width}}  {verdict.seconds:5.1f} s  {told}", flush=True)
    print(f"{len(chosen)} guards, {missed} of them noticed by no test")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
