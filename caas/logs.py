"""Logs: one JSON object a line on standard error (or, for people, a coloured line). The standard library's loggers end here too."""

import logging
import sys
from typing import Any

import structlog

_SHARED: tuple[Any, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


def set_up(level: str, style: str, **fields: Any) -> None:
    """Log from `level` on; `fields` stand in every line."""
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)  # without the values of locals
    last: Any = console if style == "console" else structlog.processors.JSONRenderer()
    before = [structlog.processors.format_exc_info] if style == "json" else []
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=list(_SHARED), processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *before, last])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("hypercorn").setLevel("WARNING")
    structlog.contextvars.bind_contextvars(**fields)
