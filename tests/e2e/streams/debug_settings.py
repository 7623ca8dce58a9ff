"""The settings, with all loggers at level DEBUG."""

from __future__ import annotations

from orchestrator.settings import *  # noqa: F403
from orchestrator.settings import LOGGING

_SHY = ("asyncio", "daphne", "django.db.backends", "django.security", "django.server", "psycopg", "uvicorn")

LOGGING = {
    **LOGGING,
    "root": {**LOGGING["root"], "level": "DEBUG"},
    "loggers": {
        name: {**LOGGING["loggers"].get(name, {}), "level": "DEBUG", "propagate": True}
        for name in (*LOGGING["loggers"], *_SHY)
    },
}
