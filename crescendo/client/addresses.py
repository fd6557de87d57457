"""Where the services are: an argument, the environment, a `crescendo up` on this machine, the defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_COORDINATOR = "127.0.0.1:50051"
DEFAULT_STORE = "127.0.0.1:50052"
COORDINATOR_VARIABLE = "CRESCENDO_COORDINATOR_ADDRESS"
STORE_VARIABLE = "CRESCENDO_STORE_ADDRESS"
DATA_DIR_VARIABLE = "CRESCENDO_DATA_DIR"
# Written by services.embedded when it is ready, removed when it stops.
ADDRESSES_FILE = "addresses.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the coordinator and the store listen, `host:port`."""

    coordinator: str
    store: str


def data_dir(environ: Mapping[str, str]) -> Path:
    """Gives the folder the embedded services keep their data in."""
    return Path(environ.get(DATA_DIR_VARIABLE, "").strip() or "~/.crescendo").expanduser()


def find_addresses(
    coordinator: str | None, store: str | None, environ: Mapping[str, str]
) -> Addresses:
    """Decides where to connect to; whatever is given wins, part by part."""
    local = local_addresses(data_dir(environ))
    return Addresses(
        coordinator=coordinator
        or environ.get(COORDINATOR_VARIABLE, "").strip()
        or (local.coordinator if local else DEFAULT_COORDINATOR),
        store=store
        or environ.get(STORE_VARIABLE, "").strip()
        or (local.store if local else DEFAULT_STORE),
    )


def target_of(addresses: Sequence[str]) -> str:
    """Gives what gRPC calls a peer with these addresses (`host:port`).

    One address stands as it is. Of several each is an IP address, of version 4 or, in brackets, 6:
    gRPC takes a list of one kind, so those of version 4 beside others are written as the others
    (RFC 4291, section 2.5.5.2).
    """
    if len(addresses) == 1:
        return addresses[0]
    if not any(each.startswith("[") for each in addresses):
        return "ipv4:" + ",".join(addresses)
    return "ipv6:" + ",".join(
        each if each.startswith("[") else "[::ffff:{}]:{}".format(*each.rsplit(":", 1))
        for each in addresses
    )


def local_addresses(folder: Path, *, pid: int | None = None) -> Addresses | None:
    """Gives where the embedded services on `folder` listen, if they run.

    Args:
        pid: the process they must be; None for any that lives.
    """
    try:
        content = json.loads((folder / ADDRESSES_FILE).read_text())
        owner = int(content["pid"])
        addresses = Addresses(coordinator=str(content["coordinator"]), store=str(content["store"]))
    except (OSError, ValueError, KeyError, TypeError):
        # None there, or one being replaced by another version's: the same as none running.
        return None
    if pid is not None:
        return addresses if owner == pid else None
    return addresses if _lives(owner) else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
