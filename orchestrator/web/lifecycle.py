"""How the long-running commands begin and end."""

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
from collections.abc import Callable
from types import FrameType
from uuid import uuid4

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import Error, connections

from common.database.connections import AsyncConnection, without_time_limit
from common.database.errors import is_transient
from common.database.parameters import connection_parameters, direct_parameters
from common.database.server import probe_async
from executions.db_threads import backoff_delays
from orchestrator.web.process_tree import end_with_parent

logger = logging.getLogger(__name__)

Handler = Callable[[int, FrameType | None], object]  # of a signal

AWAY_SECONDS = 30.0  # that the embedded server may be away while it is prepared
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.2, 2.0  # between two tries to reach a database of one's own
REMIND_SECONDS = 30.0  # until the same is said again of a database that is waited for
_PREPARING = 7_316_204_551  # key of the advisory lock: one process at a time migrates


def end_on_signals() -> None:
    """Have SIGTERM and SIGINT end the process with exit code 0, until something else is made of them.

    A process whose parent asked for it (`process_tree`) gets SIGTERM when that parent is gone.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    end_with_parent()


def when_told_to_end(callback: Callable[[], None]) -> None:
    """Have the running event loop call this on SIGTERM and SIGINT, besides what the server does about them.

    A server that does nothing about a signal is left as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # signals are no concern of this server's
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        if callable(server_does := signal.getsignal(number)):
            signal.signal(number, _both(loop, callback, server_does))


def _both(loop: asyncio.AbstractEventLoop, callback: Callable[[], None], server_does: Handler) -> Handler:
    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        server_does(number, frame)

    return handle


def prepare_embedded_database() -> None:
    """Migrate the embedded database and load the catalog; any other database is its owner's.

    Workflows with faults are named on stderr, and left as they were published before.

    A server that is lost meanwhile comes back by its watchdog, and is waited for.

    Raises:
        psycopg.Error, django.db.Error: it has not come back within `AWAY_SECONDS`.
    """
    if settings.DATABASE_URL:
        return
    deadline, waits = time.monotonic() + AWAY_SECONDS, backoff_delays("the preparation of the database")
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
    """Return once a database of one's own answers; until then, say what is waited for, and why it does not answer.

    Which faults end by themselves cannot be told from what libpq says, so that a wrong password is waited for as well.
    """
    said, said_at, pause = "", -math.inf, FIRST_PAUSE_SECONDS
    while settings.DATABASE_URL:
        try:
            for parameters in (connection_parameters(), direct_parameters()):
                async with await AsyncConnection.connect(**parameters, autocommit=True) as connection:
                    await probe_async(connection)  # what begins now goes by the database's clock from the start
            return
        except psycopg.OperationalError as error:
            if str(error) != said or time.monotonic() - said_at > REMIND_SECONDS:
                said, said_at = str(error), time.monotonic()
                logger.warning("waiting for the database, which cannot be used yet: %s", said)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LAST_PAUSE_SECONDS)


def _prepare() -> None:
    with psycopg.connect(**connection_parameters(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_PREPARING,))
        with without_time_limit():
            call_command("migrate", interactive=False, verbosity=0)
        call_command("load_catalog", skip_faulty=True, stdout=io.StringIO())


def worker_name() -> str:
    """Return a name that no other worker has ever had."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid4().hex[:8]}"
