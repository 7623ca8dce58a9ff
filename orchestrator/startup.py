"""Startup of every process, before Django's setup."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence

from django.apps import apps

from orchestrator import env

#: Commands that do not use the database.
WITHOUT_DATABASE = frozenset(
    {"demo", "help", "version", "check", "spectacular", "collectstatic", "findstatic", "diffsettings"}
)
#: Commands that use a configured pooler; all others are short, or need a session (`migrate`).
THROUGH_POOLER = frozenset({"serve", "worker", "relay", "doctor"})
_HELP_OPTIONS = frozenset({"-h", "--help", "--version"})


def prepare(arguments: Sequence[str] | None = None) -> None:
    """Set the settings module, and start the embedded PostgreSQL if it is needed.

    Garbage collection is off until `complete`.

    Args:
        arguments: Arguments of `manage.py`; None for an ASGI server.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    if not apps.ready:
        gc.disable()  # imported objects stay alive; collections took a third of the startup time
    if arguments is not None and not _needs_database(arguments):
        return
    if arguments is not None and arguments[0] not in THROUGH_POOLER:
        _bypass_pooler()
    from django.conf import settings  # noqa: PLC0415 - needs the settings module

    from orchestrator.embedded_postgres import instance  # noqa: PLC0415

    if not settings.DATABASE_URL:
        instance.ensure_running(settings.DATA_DIR)


def _bypass_pooler() -> None:
    if direct := env.text("DATABASE_DIRECT_URL", ""):
        os.environ["DATABASE_URL"] = direct
        for name in ("DATABASE_DIRECT_URL", "DATABASE_DIRECT_URL_FILE"):
            os.environ.pop(name, None)


def complete() -> None:
    """Turn on garbage collection once all apps are loaded; their objects are exempt."""
    gc.freeze()
    gc.enable()


def _needs_database(arguments: Sequence[str]) -> bool:
    return bool(arguments) and arguments[0] not in WITHOUT_DATABASE and not _HELP_OPTIONS.intersection(arguments)
