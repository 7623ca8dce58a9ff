"""Log formats: JSON for machines, columns for people; all logs go to standard error."""

from __future__ import annotations

from typing import Any

import structlog

#: Fields of all lines, including those of libraries.
_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_FORMATS: dict[str, list[Any]] = {
    "json": [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    "console": [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)],
}
FORMATS = frozenset(_FORMATS)


def logging_config(*, form: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING for one of `FORMATS`, with lines of `level` (a name of the logging module) and above."""
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": _SHARED,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_FORMATS[form]],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"handlers": [], "propagate": True},
            "django.request": {"level": "ERROR"},  # errors of clients are in their responses
            "httpx": {"level": "WARNING"},  # logs every URL
            "httpx2": {"level": "WARNING"},
            "google_genai": {"level": "WARNING"},
            "twisted": {"level": "WARNING"},
            "procrastinate": {"level": "WARNING"},
        },
    }
