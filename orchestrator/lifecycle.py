"""How the long-running commands begin and end."""

from __future__ import annotations

import io
import os
import signal
import socket
import sys
from uuid import uuid4

import psycopg
from django.conf import settings
from django.core.management import call_command

from executions.progress.database import connection_parameters

_PREPARING = 7_316_204_551  # key of the advisory lock: one process at a time migrates


def end_on_signals() -> None:
    """Have SIGTERM and SIGINT end the process with exit code 0, until something else is made of them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def prepare_embedded_database() -> None:
    """Migrate the embedded database and load the catalog; any other database is its owner's."""
    if settings.DATABASE_URL:
        return
    with psycopg.connect(**connection_parameters(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_PREPARING,))
        call_command("migrate", interactive=False, verbosity=0)
        call_command("load_catalog", stdout=io.StringIO())


def worker_name() -> str:
    """Return a name that no other worker has ever had."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid4().hex[:8]}"
