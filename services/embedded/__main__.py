"""Runs everything in one process: `python -m services.embedded`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.common.lifecycle import run_until_signal
from services.common.settings import SettingsError, load
from services.common.telemetry import configure_logging
from services.core.errors import CrescendoError
from services.embedded.app import RunningEmbedded, running_embedded
from services.embedded.settings import EmbeddedSettings

_READY = """\
Crescendo is ready, with {slots} trials at once. Ctrl-C stops it; everything is kept in {folder}.

  coordinator     {coordinator}
  store           {store}
  store, internal {store_internal}

In another terminal:
{exports}
  crescendo search progressive --dataset sklearn:wine --model random_forest_classifier
  crescendo list
"""


def main() -> int:
    """Loads the settings and runs until SIGTERM or SIGINT."""
    try:
        settings = load(EmbeddedSettings, os.environ)
        configure_logging("embedded", level=settings.log_level, log_format=settings.log_format)

        @asynccontextmanager
        async def start() -> AsyncIterator[RunningEmbedded]:
            async with running_embedded(settings, os.environ) as running:
                sys.stdout.write(_ready(settings, running))
                sys.stdout.flush()
                yield running

        run_until_signal(start)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (CrescendoError, OSError) as error:
        # Expected ones: the folder is in use, a port is taken. Their text says what to do.
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _ready(settings: EmbeddedSettings, running: RunningEmbedded) -> str:
    return _READY.format(
        exports=_exports(settings, running),
        slots=running.slots,
        folder=settings.data_folder,
        coordinator=running.coordinator,
        store=running.store,
        store_internal=running.store_internal,
    )


def _exports(settings: EmbeddedSettings, running: RunningEmbedded) -> str:
    """Gives what the command line must be told; nothing where it finds the services by itself."""
    usual = EmbeddedSettings()
    found = (running.coordinator, running.store) == ("127.0.0.1:50051", "127.0.0.1:50052")
    if found or settings.data_folder == usual.data_folder:
        return ""
    return f"\n  export CRESCENDO_DATA_DIR={shlex.quote(str(settings.data_folder))}"


if __name__ == "__main__":
    sys.exit(main())
