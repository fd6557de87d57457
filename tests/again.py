"""Runs the few tests that failed once more, each alone, so that one late process does not cost a whole run.

Processes, servers and clocks share a busy machine with the tests of them. A test of these that failed beside
others and passes alone is named in the last lines, its first failure above them: it is to be mended, not
forgotten. Unit tests share nothing, so none of them is run again; nor is anything when more than a few
failed, or when the run itself did not get to its end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_MOST = 3
_TESTS_FAILED = 1
"""pytest's exit status where tests failed, and nothing else went wrong."""


def refusal(status: int, failed: list[str]) -> str | None:
    """Why these failures stand, or None where the tests may be run again."""
    if status != _TESTS_FAILED or not failed:
        return "the run did not get to its end"
    if len(failed) > _MOST:
        return f"{len(failed)} tests failed; at most {_MOST} are run again"
    alone = [each for each in failed if each.startswith("tests/unit/")]
    if alone:
        return f"{alone[0]} shares nothing with others"
    return None


def main(status: int) -> int:
    """Returns 0 if every failed test passed alone, else the status of the run before."""
    failed = [*json.loads(_FAILED.read_text("utf-8"))] if _FAILED.exists() else []
    reason = refusal(status, failed)
    if reason is not None:
        print(f"No test is run again: {reason}.")
        return status
    print(f"Run again, alone: {', '.join(failed)}", flush=True)
    for each in failed:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", each], check=False
        )
        if done.returncode != 0:
            return status
    print(f"PASSED ONLY ALONE, to be mended: {', '.join(failed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
