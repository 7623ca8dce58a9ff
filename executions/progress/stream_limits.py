"""Limits of open streams in a web process: their number per user, and rechecks of permissions."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from types import TracebackType

from django.conf import settings

from access import selectors as access
from access.selectors import Grant
from common.database.server import database_now
from common.errors import TooManyRequests
from common.limits import limits
from executions.db_threads import in_thread
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.runtime.cancellation import cancel_and_wait

logger = logging.getLogger(__name__)


class TooManyStreams(TooManyRequests):
    """The user has the maximum number of streams open in this process."""

    code = "too-many-streams"
    retry_after = 10  # until then a stream may have ended


class OpenStream:
    """One open stream, registered until the end of its `with` block."""

    def __init__(self, grant: Grant, registry: StreamRegistry) -> None:
        self.grant = grant
        self.must_end: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # done: the stream has to end
        self._registry = registry

    def end(self) -> None:
        """Make the stream end."""
        if not self.must_end.done():
            self.must_end.set_result(None)

    def __enter__(self) -> OpenStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._registry.remove(self)


class StreamRegistry:
    """The open streams of one event loop. One query rechecks all streams periodically."""

    def __init__(self) -> None:
        self._streams: set[OpenStream] = set()
        self._count_by_user: Counter[int] = Counter()
        self._recheck_task: asyncio.Task[None] | None = None

    def take(self, grant: Grant) -> OpenStream:
        """Register a new stream, to be used in a `with` statement.

        Raises:
            TooManyStreams: the user has the maximum number of streams open.
        """
        user_id = grant.credential.user_id
        limit = limits().streams_per_user
        if self._count_by_user[user_id] >= limit:
            raise TooManyStreams(f"You already have {limit} open streams on this server process; close one first.")
        stream = OpenStream(grant, self)
        self._streams.add(stream)
        self._count_by_user[user_id] += 1
        if self._recheck_task is None:
            self._recheck_task = asyncio.create_task(self._recheck_periodically(), name="stream-recheck")
            self._recheck_task.add_done_callback(self._on_recheck_end)
        return stream

    def remove(self, stream: OpenStream) -> None:
        """Remove a stream. Removing it again has no effect."""
        if stream in self._streams:
            self._streams.remove(stream)
            user_id = stream.grant.credential.user_id
            self._count_by_user[user_id] -= 1
            if not self._count_by_user[user_id]:
                del self._count_by_user[user_id]

    async def recheck(self) -> None:
        """End the streams whose users may no longer see them.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        grants = {stream.grant for stream in self._streams}
        revoked = grants - await in_thread(access.valid_grants, grants, now=database_now())
        for stream in self._streams:
            if stream.grant in revoked:
                stream.end()

    async def close(self) -> None:
        """Stop the rechecks."""
        if self._recheck_task is not None:
            await cancel_and_wait(self._recheck_task)

    async def _recheck_periodically(self) -> None:
        while True:
            await asyncio.sleep(settings.STREAM_RECHECK_SECONDS)
            try:
                await self.recheck()
            except DatabaseUnavailable:
                logger.warning("The database is unavailable; permissions of streams are rechecked later.")

    def _on_recheck_end(self, task: asyncio.Task[None]) -> None:
        self._recheck_task = None
        if not task.cancelled():  # an unexpected error: end all streams, so that none continues without permission
            logger.critical("The recheck of permissions failed; all streams end.", exc_info=task.exception())
            for stream in self._streams:
                stream.end()
