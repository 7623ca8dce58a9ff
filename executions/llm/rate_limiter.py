"""Rate limit permits for this process's calls. One task communicates with the database for all calls."""

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
from executions.engine.prompting.attachments import CHARACTERS_PER_TOKEN
from telemetry.rate_limits import store
from telemetry.rate_limits.store import PermitRequest

_WAITING_SECONDS = 0.2  # between two polls while a call waits
_HOLDING_SECONDS = 5.0  # between two renewals while calls are only running

logger = logging.getLogger(__name__)


class _Held:
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
        self._held: dict[UUID, _Held] = {}
        self._new: list[PermitRequest] = []
        self._ended: list[tuple[UUID, int | None]] = []
        self._changed = asyncio.Event()
        self._exchange_task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def permit(self, request: ModelRequest) -> AsyncIterator[_Held]:
        """Wait for a permit for the request, and hold it.

        Raises:
            RateLimited: no permit will be free soon enough.
        """
        characters = len(request.instructions) + len(request.prompt)
        attached = sum(each.tokens for each in request.attachments)
        tokens = characters // CHARACTERS_PER_TOKEN + attached + request.max_output_tokens
        call = PermitRequest(id=uuid7(), model=request.model, scope_id=request.scope_id or UUID(int=0), tokens=tokens)
        held = _Held(call)
        if not store.is_limited(request.model):
            yield held
            return
        self._held[call.id] = held
        self._new.append(call)
        self._start_exchange()
        try:
            await self._wait(held)
            yield held
        finally:
            del self._held[call.id]
            self._ended.append((call.id, held.tokens))
            self._start_exchange()

    async def _wait(self, held: _Held) -> None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                await held.granted
        except TimeoutError as error:
            seconds = await in_thread(store.estimated_wait, held.call)
            raise RateLimited(held.call.model, seconds=seconds) from error

    async def flush(self) -> None:
        """Return when the end of all calls has been reported to the database, and no permit is held."""
        while self._exchange_task is not None and not self._exchange_task.done():
            self._changed.set()
            await asyncio.wait({self._exchange_task})

    def _start_exchange(self) -> None:
        self._changed.set()
        if self._exchange_task is None or self._exchange_task.done():
            self._exchange_task = asyncio.create_task(self._exchange(), name="turns")

    async def _exchange(self) -> None:
        """Report changes to the database until no permit is held or awaited."""
        while self._held or self._new or self._ended:
            self._changed.clear()
            asked, ended = self._new, self._ended
            self._new, self._ended = [], []
            try:
                mine = await in_thread(store.synchronize, requests=asked, active=list(self._held), ended=ended)
            except DatabaseUnavailable:
                self._new, self._ended = asked + self._new, ended + self._ended
                logger.warning("the database is unavailable; no rate limit permits are granted")
                mine = set()
            for identity in mine & self._held.keys():
                if not self._held[identity].granted.done():
                    self._held[identity].granted.set_result(None)
            if self._held or self._new or self._ended:
                waits = any(not held.granted.done() for held in self._held.values())
                await self._pause(_WAITING_SECONDS if waits else _HOLDING_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Wait for this time, or until something changes."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return  # the time is over
