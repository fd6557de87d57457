"""Logs: structured, one JSON object a line, or coloured text for people."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# A URL's password is the one secret that libraries put into messages by themselves.
_URL_PASSWORD = re.compile(r"(?P<start>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.IGNORECASE)


def redact(text: str) -> str:
    """Replaces passwords inside URLs by `***`."""
    return _URL_PASSWORD.sub(r"\g<start>***", text)


def configure_logging(role: str, *, level: str, log_format: str) -> None:
    """Sets up structlog and the standard library's logging, both to stderr.

    Args:
        role: store, coordinator, worker or embedded; stands in every line.
        level: debug, info, warning or error.
        log_format: `json`, or `console` for people.
    """
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    colours = log_format == "console" and sys.stderr.isatty()
    renderer: Any = (
        structlog.dev.ConsoleRenderer(
            colors=colours,
            # Rich tracebacks show local variables, and with them passwords that no filter sees.
            exception_formatter=structlog.dev.plain_traceback,
        )
        if log_format == "console"
        else structlog.processors.JSONRenderer()
    )
    last = [structlog.processors.format_exc_info] if log_format != "console" else []
    structlog.configure(
        processors=[*shared, *last, _redact_values, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_values,
                renderer,
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries speak when something is wrong; their chatter would drown the services' own lines.
    root.setLevel(max(number, logging.WARNING))


def _redact_values(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
    return event
