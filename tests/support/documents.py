"""Commands out of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

_FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_METHOD = re.compile(r"tuning\.v1\.(\w+Service)/(\w+)")


def blocks(path: Path, language: str) -> list[str]:
    """Gives the fenced blocks of one language in the order they stand."""
    return [
        match["body"]
        for match in _FENCE.finditer(path.read_text())
        if match["language"] == language
    ]


def methods_called(text: str) -> set[str]:
    """Gives the RPCs a text names as `Service/Method`."""
    return {f"{service}/{method}" for service, method in _METHOD.findall(text)}
