"""The command that derives a search's points again; what does it belongs to the coordinator."""

from __future__ import annotations

import os
import subprocess
import sys

import typer

from crescendo.cli import embedded, options
from crescendo.client.addresses import STORE_VARIABLE, find_addresses

_MODULE = "services.coordinator.replay"


def replay(
    *, orchestration_id: options.OrchestrationArgument, store: options.StoreOption = None
) -> None:
    """Derive every trial's parameters again from seeds and event log, and compare."""
    embedded.check_installed(needed=("services", "sklearn"), extra="services")
    address = find_addresses(None, store, os.environ).store
    done = subprocess.run(
        [sys.executable, "-m", _MODULE, orchestration_id],
        env={**os.environ, STORE_VARIABLE: address},
        check=False,
    )
    raise typer.Exit(done.returncode)
