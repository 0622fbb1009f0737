"""Logs: one event a line, key and value, JSON for machines or colours for people; ids of request and trace on each."""

import io
import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from servicekit import context
from servicekit.settings import ProcessSettings


class _Lossy(io.TextIOBase):
    """Passes text on; what cannot be written is lost: a full disk under a log must break nothing but the log.

    The standard library's handlers see to that by themselves.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes, or does not."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Passes on what is kept back, or some of it later."""
        with suppress(OSError):
            self._stream.flush()


def configure_logging(settings: ProcessSettings, service: str) -> None:
    """Sends structlog's and the standard library's records to stderr in one format, the service's name on each."""
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    shared: list[Any] = [
        _add_ids,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
    ]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _add_ids(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Adds whose request is in work: asked for only when something is logged, so that others cost nothing."""
    asking = context.current()
    if asking is not None:
        event.setdefault("request_id", asking.request_id)
        event.setdefault("trace_id", asking.trace_id)
        if not asking.fresh:  # or else the id names no step that anybody knows of
            event.setdefault("span_id", asking.span_id)
    return event


def _named(service: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("service", service)
        return event

    return add
