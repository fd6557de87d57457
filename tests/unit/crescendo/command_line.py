"""The command line as a call, for tests."""

from __future__ import annotations

import pytest

from crescendo.cli.main import main


def run(*args: str) -> int:
    """Runs a command. Returns: its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(args)
    code = caught.value.code
    assert isinstance(code, int)
    return code
