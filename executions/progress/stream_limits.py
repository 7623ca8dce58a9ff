"""The open streams of one web process: how many a user may have, and whether they may still see what they follow."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from types import TracebackType

from django.conf import settings
from rest_framework.exceptions import APIException

from access import selectors as access
from access.stream_grants import Grant
from common.database.server import database_now
from common.limits import limits
from executions.db_threads import in_thread
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.runtime.cancel import cancel_and_wait

logger = logging.getLogger(__name__)


class TooManyStreams(APIException):
    """A user has as many streams open in this process as one may."""

    status_code = 429
    default_code = "too-many-streams"
    wait = 10  # seconds, for `Retry-After`: by then one of theirs may have ended


class OpenStream:
    """The place of one stream, which is freed at the end of a `with`."""

    def __init__(self, grant: Grant, limits: StreamRegistry) -> None:
        self.grant = grant
        self.must_end: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # done: the stream has to end
        self._places = limits

    def end(self) -> None:
        """Have the stream end."""
        if not self.must_end.done():
            self.must_end.set_result(None)

    def __enter__(self) -> OpenStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._places.free(self)


class StreamRegistry:
    """The places of one event loop. All are looked at together, now and then, with one query."""

    def __init__(self) -> None:
        self._taken: set[OpenStream] = set()
        self._of_users: Counter[int] = Counter()
        self._watching: asyncio.Task[None] | None = None

    def take(self, grant: Grant) -> OpenStream:
        """Return a new place; to be used in a `with`.

        Raises:
            TooManyStreams: the user has as many as one may.
        """
        user_id = grant.credential.user_id
        most = limits().streams_per_user
        if self._of_users[user_id] >= most:
            raise TooManyStreams(f"You follow {most} streams here already; end one of them first.")
        place = OpenStream(grant, self)
        self._taken.add(place)
        self._of_users[user_id] += 1
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="stream-recheck")
            self._watching.add_done_callback(self._watched)
        return place

    def free(self, place: OpenStream) -> None:
        """Give a place back; again changes nothing."""
        if place in self._taken:
            self._taken.remove(place)
            user_id = place.grant.credential.user_id
            self._of_users[user_id] -= 1
            if not self._of_users[user_id]:
                del self._of_users[user_id]

    async def recheck(self) -> None:
        """End the streams of those who may not see any more what they follow.

        Raises:
            Unavailable: the database is away.
        """
        asked = {place.grant for place in self._taken}
        fallen = asked - await in_thread(access.valid_grants, asked, now=database_now())
        for place in self._taken:
            if place.grant in fallen:
                place.end()

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            await cancel_and_wait(self._watching)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(settings.STREAM_RECHECK_SECONDS)
            try:
                await self.recheck()
            except DatabaseUnavailable:
                logger.warning("The database is away; who may still follow what is looked at later.")

    def _watched(self, watching: asyncio.Task[None]) -> None:
        self._watching = None
        if not watching.cancelled():  # a bug: better nobody follows than somebody who may not
            logger.critical("Nobody looks any more who may follow; all streams end.", exc_info=watching.exception())
            for place in self._taken:
                place.end()
