"""Startup and shutdown of the long-running commands."""

from __future__ import annotations

import asyncio
import io
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import FrameType
from uuid import uuid4

import psycopg
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import Error, connections

from access.apps import IS_LEGACY
from common.database.connections import AsyncConnection, without_time_limit
from common.database.errors import is_transient
from common.database.parameters import connection_parameters, direct_parameters
from common.database.server import probe_async
from documents.search.index import SELECT_LANGUAGES, unknown_language
from executions.db_threads import backoff_delays
from orchestrator.legacy_database import LegacyDatabase
from orchestrator.web.process_tree import end_with_parent

logger = logging.getLogger(__name__)

Handler = Callable[[int, FrameType | None], object]  # of a signal

OUTAGE_SECONDS = 30.0  # max outage of the embedded server during its preparation
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.2, 2.0  # between attempts to reach an external database
REMIND_SECONDS = 30.0  # until the same warning about the database is logged again
MIGRATION_POLL_SECONDS = 0.2  # while another process migrates
_MIGRATION_LOCK = 7_316_204_551  # key of the advisory lock: one process at a time migrates


def end_on_signals() -> None:
    """Exit with status 0 on SIGTERM and SIGINT, until other handlers are installed.

    If the parent has requested it (`process_tree`), the process gets SIGTERM when the parent ends.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    end_with_parent()


def on_shutdown_signal(callback: Callable[[], None]) -> None:
    """Register a callback of the event loop for SIGTERM and SIGINT, in addition to the server's handlers.

    Signals without a handler of the server stay unchanged.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread handles signals
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        if callable(server_handler := signal.getsignal(number)):
            signal.signal(number, _chain_handlers(loop, callback, server_handler))


def _chain_handlers(loop: asyncio.AbstractEventLoop, callback: Callable[[], None], server_handler: Handler) -> Handler:
    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        server_handler(number, frame)

    return handle


def prepare_embedded_database() -> None:
    """Migrate the embedded database and load the catalog. An external database is the operator's responsibility.

    Invalid workflows are listed on stderr, and keep their published versions. If the server crashes, wait for its
    supervisor to restart it.

    Raises:
        LegacyDatabase: a development version made the database.
        CommandError: the database has no `SEARCH_LANGUAGE`.
        psycopg.Error, django.db.Error: an outage exceeded `OUTAGE_SECONDS`.
    """
    if settings.DATABASE_URL:
        return
    deadline, waits = time.monotonic() + OUTAGE_SECONDS, backoff_delays("the preparation of the database")
    while True:
        try:
            _prepare()
            return
        except (psycopg.Error, Error) as error:
            if not is_transient(error) or time.monotonic() > deadline:
                raise
            connections.close_all()
            time.sleep(next(waits))


async def wait_for_database() -> None:
    """Wait until an external database responds, and log the reason of the wait.

    The messages of libpq do not distinguish temporary from permanent errors, so this also waits on a wrong password.

    Raises:
        LegacyDatabase: a development version made the database.
        CommandError: the database has no `SEARCH_LANGUAGE`.
    """
    logged, logged_at, pause = "", -math.inf, FIRST_RETRY_SECONDS
    while settings.DATABASE_URL:
        try:
            for parameters in (connection_parameters(), direct_parameters()):
                async with await AsyncConnection.connect(**parameters, autocommit=True) as connection:
                    await probe_async(connection)  # so that the process uses the database's clock from the start
                    if await (await connection.execute(IS_LEGACY)).fetchone() == (True,):
                        raise LegacyDatabase
                    _check_search_language(await (await connection.execute(SELECT_LANGUAGES)).fetchall())
            return
        except psycopg.OperationalError as error:
            if str(error) != logged or time.monotonic() - logged_at > REMIND_SECONDS:
                logged, logged_at = str(error), time.monotonic()
                logger.warning("waiting for the database, which is not available yet: %s", logged)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LAST_RETRY_SECONDS)


def _check_search_language(known: Iterable[tuple[str]]) -> None:
    names = [name for (name,) in known]
    if settings.SEARCH_LANGUAGE not in names:
        raise CommandError(unknown_language(names))


def _prepare() -> None:
    with psycopg.connect(**connection_parameters(), autocommit=True) as connection:
        # A statement that waits for the lock would keep its snapshot, for which the creation of an index waits.
        while connection.execute("SELECT pg_try_advisory_lock(%s)", (_MIGRATION_LOCK,)).fetchone() != (True,):
            time.sleep(MIGRATION_POLL_SECONDS)
        with without_time_limit():
            call_command("migrate", interactive=False, verbosity=0)
        _check_search_language(connection.execute(SELECT_LANGUAGES))
        call_command("load_catalog", skip_faulty=True, stdout=io.StringIO())


def worker_name() -> str:
    """Return a unique name."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid4().hex[:8]}"
