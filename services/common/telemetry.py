"""Logs: structured, one JSON object a line, or coloured text for people.

Whatever a program part or a library has to say goes through one pipeline: role and request are added,
repeated outages are thinned out, secrets are taken out last.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

from services.common.redaction import redact, redact_value
from services.common.storms import thin_out

__all__ = ["configure_logging", "redact"]

LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("json", "console")


def configure_logging(role: str, *, level: str, log_format: str) -> None:
    """Sets up structlog and the standard library's logging, both to stderr.

    Args:
        role: store, coordinator, worker or embedded; stands in every line.
        level: debug, info, warning or error.
        log_format: `json`, or `console` for people.
    """
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)

    def add_role(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        # Not by context variables: threads of libraries have none.
        event.setdefault("role", role)
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        thin_out,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_role,
    ]
    last = _last(log_format)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                _name_logger,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *last,
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries speak when something is wrong; their chatter would drown the services' own lines.
    root.setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _last(log_format: str) -> list[Any]:
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # Rich tracebacks show local variables, and with them passwords that no filter sees.
            exception_formatter=structlog.dev.plain_traceback,
        )
        return [structlog.processors.format_exc_info, _redact, renderer]
    return [
        structlog.processors.format_exc_info,
        _redact,
        structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
    ]


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if not key.startswith("_"):
            event[key] = redact_value(value)
    return event


def _name_logger(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger().critical("uncaught", exc_info=error)


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread is not None else ""
    structlog.get_logger().critical(
        "uncaught in a thread", thread=name, exc_info=arguments.exc_value or False
    )
