"""Runs everything in one process: `python -m services.embedded`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.common.command_line import answered
from services.common.lifecycle import run_until_signal
from services.common.setting_checks import warn_of_unknown
from services.common.settings import PREFIX, SettingsError, load
from services.common.telemetry import configure_logging
from services.common.vitals import Vitals
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


_ABOUT = """\
Runs store, coordinator and worker in this one process, with a Postgres of its own and nothing else
installed; `crescendo up` starts the same.

Beside the settings below it takes those of `python -m services.store`, `services.coordinator` and
`services.worker`, which their own --help lists, save where they find one another. Datasets stay in the
data folder, and running trials may go on for 2 s after a signal, unless they are set otherwise.

Runs until SIGTERM or SIGINT. Status: 0 after a signal, 1 if it cannot start, 2 for wrong settings or
arguments, 70 if a vital part of it has failed.
"""


def main(arguments: list[str]) -> int:
    """Loads the settings and runs until SIGTERM or SIGINT."""
    status = answered(
        arguments, module="services.embedded", about=_ABOUT, settings=EmbeddedSettings
    )
    if status is not None:
        return status
    try:
        settings = load(EmbeddedSettings, os.environ)
        configure_logging("embedded", level=settings.log_level, log_format=settings.log_format)
        warn_of_unknown(os.environ, prefix=PREFIX)

        @asynccontextmanager
        async def start(vitals: Vitals) -> AsyncIterator[RunningEmbedded]:
            async with running_embedded(settings, os.environ, vitals) as running:
                sys.stdout.write(_ready(settings, running))
                sys.stdout.flush()
                yield running

        return run_until_signal(start)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (CrescendoError, OSError) as error:
        # Expected ones: the folder is in use, a port is taken. Their text says what to do.
        sys.stderr.write(f"error: {error}\n")
        return 1


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
    sys.exit(main(sys.argv[1:]))
