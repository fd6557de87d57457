"""What makes a setting's value wrong, told by the setting's name: addresses, URLs, queues, levels, numbers."""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import structlog

from services.common.telemetry import FORMATS, LEVELS
from services.core.queue_naming import problem_of_queue_name

logger = structlog.get_logger()

# All that any role or the client reads: one environment often serves several of them.
KNOWN = frozenset(
    {
        "AMQP_URL", "BEAT_SECONDS", "BOOKMARK_SECONDS", "CHILD_GROWTH_MB", "COORDINATOR_ADDRESS",
        "COORDINATOR_LISTEN", "DATA_DIR", "DISPATCH_SECONDS", "DRAIN_SECONDS", "LEASE_SECONDS",
        "LOG_FORMAT", "LOG_LEVEL", "MAX_COORDINATOR_WATCHES", "MAX_UPLOAD_MIB", "MAX_WATCHES",
        "METRICS_LISTEN", "POSTGRES_DSN", "PREFIX_CACHE_MB", "PRICE_PER_HOUR", "QUEUE_PREFIX",
        "REFLECTION", "RETENTION_DAYS", "RPC_DEADLINE_SECONDS", "SEARCHER_LEASE_SECONDS", "SEARCHER_PROCESSES",
        "STORE_ADDRESS", "STORE_INTERNAL_ADDRESS", "STORE_INTERNAL_LISTEN", "STORE_LISTEN",
        "STREAM_WRITE_SECONDS", "SUGGESTION_TIMEOUT_SECONDS", "TENANT_WEIGHTS", "TRIAL_MEMORY_MB",
        "TRIAL_TIMEOUT_SECONDS", "WATCH_POLL_SECONDS", "WORKER_CACHE_DIR", "WORKER_CACHE_MB",
        "WORKER_CLASS", "WORKER_DRAIN_SECONDS", "WORKER_SLOTS",
    }
)  # fmt: skip

_HOST_AND_PORT = re.compile(r"(?P<host>[^\s:/,\[\]]*|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5})")
_MAX_PORT = 65_535


def problem_of(name: str, value: object) -> str | None:
    """Says what is wrong with a value, None if nothing is.

    Args:
        name: the field's name, such as `store_listen`.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _problem_of_number(value)
    if not isinstance(value, str):
        return None
    if name == "log_level":
        return _problem_of_choice(value.lower(), LEVELS)
    if name == "log_format":
        return _problem_of_choice(value, FORMATS)
    if name in ("queue_prefix", "worker_class"):
        return problem_of_queue_name(value)
    if name == "amqp_url":
        return _problem_of_url(value, ("amqp", "amqps"))
    if name == "postgres_dsn":
        return _problem_of_dsn(value)
    if name.endswith("_listen"):
        return (
            None if name == "metrics_listen" and value in ("", "off") else _problem_of_listen(value)
        )
    if name.endswith("_address"):
        return _problem_of_addresses(value)
    return None


def warn_of_unknown(environ: Mapping[str, str], *, prefix: str) -> None:
    """Logs settings that nobody reads, each with the known one it may have been meant for."""
    for name, meant in unknown(environ, prefix=prefix):
        logger.warning("unknown setting: it has no effect", variable=name, did_you_mean=meant)


def unknown(environ: Iterable[str], *, prefix: str) -> list[tuple[str, str]]:
    """Lists settings that nobody reads. Returns: name and nearest known name, empty if none is near."""
    found = []
    for name in sorted(environ):
        short = name.removeprefix(prefix)
        if not name.startswith(prefix) or short in KNOWN or short.startswith("TEST_"):
            continue
        near = difflib.get_close_matches(short, KNOWN, n=1)
        found.append((name, prefix + near[0] if near else ""))
    return found


def _problem_of_number(value: float) -> str | None:
    if not math.isfinite(value):
        return "must be a finite number"
    return "must not be negative" if value < 0 else None


def _problem_of_choice(value: str, known: tuple[str, ...]) -> str | None:
    return None if value in known else f"must be one of {', '.join(known)}"


def _problem_of_listen(value: str) -> str | None:
    match = _HOST_AND_PORT.fullmatch(value)
    if match is None:
        return "must be HOST:PORT, such as 127.0.0.1:50051"
    if int(match["port"]) > _MAX_PORT:
        return f"the port must be 0 (any free one) to {_MAX_PORT}"
    return None


def _problem_of_addresses(value: str) -> str | None:
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts:
        return "must name at least one HOST:PORT"
    for part in parts:
        match = _HOST_AND_PORT.fullmatch(part.removeprefix("dns:///"))
        if match is None or not match["host"] or not 0 < int(match["port"]) <= _MAX_PORT:
            return f"{part!r} must be HOST:PORT with a port of 1 to {_MAX_PORT}"
        if len(parts) > 1 and not (part.startswith(match["host"]) and _is_ip(match["host"])):
            return (
                f"{part!r}: in a list each must be an IP address with its port, such as"
                " 10.0.0.1:50052 or [fd00::1]:50052; a name of all of them may stand alone"
            )
    return None


def _is_ip(host: str) -> bool:
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
        else:
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _problem_of_url(value: str, schemes: tuple[str, ...]) -> str | None:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        return f"is no URL: {_without_value(error)}"
    if parts.scheme not in schemes:
        return f"must begin with {' or '.join(f'{each}://' for each in schemes)}"
    if not parts.hostname:
        return "must name a host"
    return "the port must not be 0" if port == 0 else None


def _problem_of_dsn(value: str) -> str | None:
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in ("postgresql", "postgres"):
        return "must be a URL beginning with postgresql:// or postgres://"
    hosts = re.split(r"[/?]", rest.rpartition("@")[2], maxsplit=1)[0]
    for host in filter(None, hosts.split(",")):
        _, colon, port = host.rpartition("]")[2].rpartition(":")
        if colon and not (port.isdecimal() and 0 < int(port) <= _MAX_PORT):
            return f"the port {port!r} must be 1 to {_MAX_PORT}"
    return None


def _without_value(error: ValueError) -> str:
    # Its text quotes parts of the URL, perhaps of its password.
    return "its port must be a number of 1 to 65535" if "ort" in str(error) else "it cannot be read"
