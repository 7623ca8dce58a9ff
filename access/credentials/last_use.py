"""When tokens were last used. A thread writes it for all tokens together; requests do not wait for it."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

import psycopg
from django.db import Error, connections

from common.database import bulk

EXACTNESS = timedelta(minutes=1)  # a use within this time of the stored one is not written
DELAY_SECONDS = 5.0  # of the write, to collect the uses of several tokens

#: Rows that another process is writing are skipped.
_WRITE = """
WITH free AS (
  SELECT token.digest, used.at
  FROM unnest(%s::text[], %s::timestamptz[]) AS used (digest, at)
  JOIN knox_authtoken AS token ON token.digest = used.digest
  WHERE coalesce(token.last_used_at < used.at, true)
  FOR UPDATE OF token SKIP LOCKED
)
UPDATE knox_authtoken AS token SET last_used_at = free.at FROM free WHERE token.digest = free.digest"""

logger = logging.getLogger(__name__)


class LastUses:
    """Uses of tokens that this process has not written yet."""

    def __init__(self) -> None:
        self._pending: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def note(self, digest: str, *, written: datetime | None, now: datetime) -> None:
        """Remember that a token is used now, and have it written soon. `written` is the stored time.

        A use within a minute of the stored one is ignored.
        """
        if written is not None and now - written < EXACTNESS:
            return
        with self._lock:
            self._pending[digest] = now
            if self._timer is None:
                self._start_timer()

    def stop(self) -> None:
        """Forget what is not written, and wait for a write that is under way."""
        with self._lock:
            timer = self._timer
            self._pending.clear()
        if timer is not None:
            timer.cancel()
            timer.join()
            self._timer = None

    def write(self) -> None:
        """Write the uses with one statement."""
        with self._lock:
            uses, self._pending = self._pending, {}
        if uses:
            bulk.execute(_WRITE, [list(uses), list(uses.values())])

    def _start_timer(self) -> None:
        self._timer = threading.Timer(DELAY_SECONDS, self._write_in_thread)
        self._timer.daemon = True
        self._timer.start()

    def _write_in_thread(self) -> None:
        try:
            self.write()
        except (Error, psycopg.Error):  # a later use is written
            logger.warning("The last use of tokens could not be written.", exc_info=True)
        finally:
            connections.close_all()
            with self._lock:
                self._timer = None
                if self._pending:
                    self._start_timer()


LAST_USES = LastUses()
