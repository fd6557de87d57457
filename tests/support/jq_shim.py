"""Stands in for jq where it is not installed: `jq -r .path.to[0].value` alone."""

from __future__ import annotations

import json
import re
import sys


def main(arguments: list[str]) -> None:
    """Prints the value at the path of the JSON document on standard input."""
    if len(arguments) != 2 or arguments[0] != "-r":
        raise SystemExit(f"the stand-in for jq does not know {' '.join(arguments)}")
    value = json.load(sys.stdin)
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", arguments[1]):
        value = value[name] if name else value[int(index)]
    print(value if isinstance(value, str) else json.dumps(value))  # noqa: T201 (what jq does)


if __name__ == "__main__":
    main(sys.argv[1:])
