"""Rate limit permits for this process's calls. One task communicates with the database for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from uuid_utils.compat import uuid7

from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelRequest
from executions.engine.domain.errors import DatabaseUnavailable, RateLimited
from executions.engine.prompting.prompts import CHARACTERS_PER_TOKEN
from telemetry.rate_limits import store
from telemetry.rate_limits.store import PermitRequest

_POLL_SECONDS = 0.2  # between two polls while a call waits
_RENEW_SECONDS = 5.0  # between two renewals while calls are only running

logger = logging.getLogger(__name__)


class _Permit:
    """A call that waits for a permit or has one."""

    def __init__(self, call: PermitRequest) -> None:
        self.call = call
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tokens: int | None = None

    def used(self, tokens: int) -> None:
        """Record the number of tokens that were used."""
        self.tokens = tokens


class RateLimiter:
    """Lets calls to limited models wait for a permit. Other calls pass at once."""

    def __init__(self, *, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._permits: dict[UUID, _Permit] = {}
        self._new: list[PermitRequest] = []
        self._ended: list[tuple[UUID, int | None]] = []
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def permit(self, request: ModelRequest) -> AsyncIterator[_Permit]:
        """Wait for a permit for the request, and hold it.

        Raises:
            RateLimited: no permit will be free soon enough.
        """
        characters = len(request.instructions) + len(request.prompt)
        tokens = characters // CHARACTERS_PER_TOKEN + request.max_output_tokens
        call = PermitRequest(id=uuid7(), model=request.model, scope_id=request.scope_id or UUID(int=0), tokens=tokens)
        permit = _Permit(call)
        if not store.is_limited(request.model):
            yield permit
            return
        self._permits[call.id] = permit
        self._new.append(call)
        self._wake()
        try:
            await self._wait(permit)
            yield permit
        finally:
            del self._permits[call.id]
            self._ended.append((call.id, permit.tokens))
            self._wake()

    async def _wait(self, permit: _Permit) -> None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                await permit.granted
        except TimeoutError as error:
            seconds = await in_thread(store.seconds_to_wait, permit.call)
            raise RateLimited(permit.call.model, seconds=seconds) from error

    async def flush(self) -> None:
        """Return when the end of all calls has been reported to the database, and no permit is held."""
        while self._task is not None and not self._task.done():
            self._changed.set()
            await asyncio.wait({self._task})

    def _wake(self) -> None:
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._synchronise(), name="turns")

    async def _synchronise(self) -> None:
        """Report changes to the database until no permit is held or awaited."""
        while self._permits or self._new or self._ended:
            self._changed.clear()
            requested, ended = self._new, self._ended
            self._new, self._ended = [], []
            try:
                granted = await in_thread(store.tell, asked=requested, held=list(self._permits), ended=ended)
            except DatabaseUnavailable:
                self._new, self._ended = requested + self._new, ended + self._ended
                logger.warning("the database is unavailable; no rate limit permits are granted")
                granted = set()
            for call_id in granted & self._permits.keys():
                if not self._permits[call_id].granted.done():
                    self._permits[call_id].granted.set_result(None)
            if self._permits or self._new or self._ended:
                is_waiting = any(not permit.granted.done() for permit in self._permits.values())
                await self._pause(_POLL_SECONDS if is_waiting else _RENEW_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Wait for this time, or until something changes."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
