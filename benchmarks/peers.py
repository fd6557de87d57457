"""Those we are measured against; they are installed apart from everything else."""

from __future__ import annotations

import importlib
from types import ModuleType


class PeerMissing(Exception):
    """A peer is not installed; the text says how to get it."""


def peer(module: str) -> ModuleType:
    """Imports a peer's module.

    Raises: PeerMissing: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise PeerMissing(
            f"the peer's module {error.name} is not installed: `make peers` installs what"
            " requirements/peers.txt pins"
        ) from error
