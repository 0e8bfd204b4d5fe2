"""Logs of a process: one JSON line per event on standard error, ids only."""

from __future__ import annotations

import logging
import sys
import traceback

import structlog

_CHAIN_LIMIT = 5
_PLACES_LIMIT = 20


def configure_logs(process: str) -> None:
    """Send structlog and the standard library's loggers the same way; `process` stands on each line."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )

    def name_process(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        return {**event, "process": process}

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                name_process,
                _without_values,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # its plug-ins and contexts are no news
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Dramatiq reports each lost connection as critical, with its traceback; the restart that follows is the news
    logging.getLogger("dramatiq").setLevel(logging.WARNING)


def _without_values(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """An exception as its classes and places. Its words may quote what people wrote: a database error names the parameters."""
    info = event.pop("exc_info", None)
    error = (
        info[1] if isinstance(info, tuple) else info if isinstance(info, BaseException) else sys.exc_info()[1] if info else None
    )
    chain: list[dict[str, object]] = []
    while error is not None and len(chain) < _CHAIN_LIMIT:
        places = [f"{place.filename}:{place.lineno} {place.name}" for place in traceback.extract_tb(error.__traceback__)]
        chain.append({"class": f"{type(error).__module__}.{type(error).__qualname__}", "places": places[-_PLACES_LIMIT:]})
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return {**event, "exception": chain} if chain else event
