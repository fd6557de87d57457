"""Stands in for grpcurl where it is not installed: the same arguments, carried out by `buf curl`.

Knows what the documentation uses: `-plaintext`, `-d JSON`, `-d @`, `list`, `list SERVICE` and a method.
Either way addresses are translated by CRESCENDO_TEST_ADDRESSES (`documented=real`, comma-separated),
so that the documented commands reach servers on other ports.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Becomes grpcurl or buf with translated arguments."""
    pairs = os.environ["CRESCENDO_TEST_ADDRESSES"].split(",")
    addresses = dict(pair.split("=", 1) for pair in pairs)
    translated = [addresses.get(each, each) for each in arguments]
    real = os.environ.get("CRESCENDO_TEST_GRPCURL", "")
    if real:
        os.execv(real, ["grpcurl", *translated])  # noqa: S606 (takes this process's place)
    buf = Path(sys.executable).with_name("buf")
    program = str(buf) if buf.exists() else shutil.which("buf") or "buf"
    if translated[-2:-1] == ["list"]:
        _list_methods(program, *translated[-3::2])
        return
    os.execv(program, ["buf", "curl", *_as_buf_curl(translated)])  # noqa: S606 (as above)


def _list_methods(program: str, address: str, service: str) -> None:
    # buf lists the methods of all services at once.
    options = ["--protocol", "grpc", "--http2-prior-knowledge", "--list-methods"]
    done = subprocess.run(
        [program, "curl", *options, f"http://{address}"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    methods = [each for each in done.stdout.splitlines() if each.startswith(f"{service}/")]
    if not methods:
        raise SystemExit(f"no such service: {service}")
    print("\n".join(methods))  # noqa: T201 (what grpcurl does)


def _as_buf_curl(arguments: list[str]) -> list[str]:
    options = ["--protocol", "grpc"]
    rest = []
    waiting = iter(arguments)
    for each in waiting:
        if each == "-plaintext":
            options.append("--http2-prior-knowledge")
        elif each == "-d":
            data = next(waiting)
            options += ["--data", "@-" if data == "@" else data]
        elif each.startswith("-"):
            raise SystemExit(f"the stand-in for grpcurl does not know {each}")
        else:
            rest.append(each)
    address, *words = rest
    match words:
        case ["list"]:
            return [*options, "--list-services", f"http://{address}"]
        case [method]:
            return [*options, f"http://{address}/{method}"]
        case _:
            raise SystemExit(f"the stand-in for grpcurl does not know {' '.join(words)}")


if __name__ == "__main__":
    main(sys.argv[1:])
