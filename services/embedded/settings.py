"""Settings of the embedded services, from environment variables with the prefix CRESCENDO_."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSettings:
    """What the embedded services may be told beside what store, coordinator and worker read.

    Attributes:
        data_dir: folder everything is kept in.
        postgres_dsn: a Postgres to use instead of the embedded one.
        log_level: debug, info, warning or error.
        log_format: `json`, or `console` for people.
    """

    data_dir: str = "~/.crescendo"
    postgres_dsn: str | None = None
    log_level: str = "warning"
    log_format: str = "console"

    @property
    def data_folder(self) -> Path:
        """Gives the data folder as an absolute path."""
        return Path(self.data_dir).expanduser().resolve()


def worker_environ(environ: Mapping[str, str], data_folder: Path) -> dict[str, str]:
    """Gives the environment the embedded worker reads: other defaults than a worker alone has."""
    return {
        # Datasets belong to the one folder too.
        "CRESCENDO_WORKER_CACHE_DIR": str(data_folder / "datasets"),
        # Whoever presses Ctrl-C sits in front of it; what is cut short is done again.
        "CRESCENDO_WORKER_DRAIN_SECONDS": "2",
        **environ,
    }
