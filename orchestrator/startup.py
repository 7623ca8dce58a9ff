"""What every process does before Django starts."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence

from django.apps import apps

from orchestrator import env

#: Commands that look at code alone.
WITHOUT_DATABASE = frozenset(
    {"demo", "help", "version", "check", "spectacular", "collectstatic", "findstatic", "diffsettings"}
)
#: Commands that go through a pooler, where there is one; all others are short, or need a session (`migrate`).
THROUGH_POOLER = frozenset({"serve", "worker", "relay", "doctor"})
_QUESTIONS = frozenset({"-h", "--help", "--version"})


def prepare(arguments: Sequence[str] | None = None) -> None:
    """Name the settings, and start the embedded PostgreSQL where it is needed and no other is given.

    Until the apps are here, nobody looks for garbage.

    Args:
        arguments: What follows `manage.py`; None for a process that serves.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    if not apps.ready:
        gc.disable()  # what is imported stays: a third of a start went into looking for garbage in it
    if arguments is not None and not _needs_database(arguments):
        return
    if arguments is not None and arguments[0] not in THROUGH_POOLER:
        _go_past_the_pooler()
    from django.conf import settings  # noqa: PLC0415 - only now are they named

    from orchestrator.embedded_postgres import instance  # noqa: PLC0415

    if not settings.DATABASE_URL:
        instance.ensure_running(settings.DATA_DIR)


def _go_past_the_pooler() -> None:
    if direct := env.text("DATABASE_DIRECT_URL", ""):
        os.environ["DATABASE_URL"] = direct
        for name in ("DATABASE_DIRECT_URL", "DATABASE_DIRECT_URL_FILE"):
            os.environ.pop(name, None)


def complete() -> None:
    """Have garbage collected again, once all apps are here; they stay, and nobody looks for garbage in them."""
    gc.freeze()
    gc.enable()


def _needs_database(arguments: Sequence[str]) -> bool:
    return bool(arguments) and arguments[0] not in WITHOUT_DATABASE and not _QUESTIONS.intersection(arguments)
