"""Requests of one caller take turns in a process, so that many at once leave room for those of others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from rest_framework.permissions import SAFE_METHODS

from access.errors import TooManyQueuedRequests
from access.passwords.backend import network_of
from access.passwords.hashers import MAX_HASHES_PER_NETWORK
from common.limits import limits
from orchestrator.problems import refused
from orchestrator.web.middleware import AsyncMiddleware

PATIENCE_SECONDS = 30.0  # that a request waits for its turn
MOST_WAITING = 100  # requests of a caller; one more is refused at once


class TurnsMiddleware(AsyncMiddleware):
    """Answers a few requests of one caller at once; more wait for their turn.

    A process has one event loop, and answers all of its requests a piece at a time: with a hundred of one caller under
    way, each request of another would take a hundred times as long. A caller is a token or a session. Without one it is
    the network that a password comes from; what only reads then waits for nothing. A stream has had its turn when it
    begins.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        super().__init__(get_response)
        self._turns = Turns()

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request, in its turn."""
        if (caller := caller_of(request)) is None:
            return await self.get_response(request)
        try:
            async with self._turns.of(caller):
                return await self.get_response(request)
        except TooManyQueuedRequests as error:
            return refused(request, error)


@dataclass(frozen=True, slots=True)
class Caller:
    """A token, a session or a network, and how many requests it may have at work at once."""

    kind: str
    name: str
    most: int


class Turns:
    """The callers that have a request: at work, or waiting. Nothing is kept about others."""

    def __init__(self) -> None:
        self._free: dict[Caller, asyncio.Semaphore] = {}
        self._requests: Counter[Caller] = Counter()

    @asynccontextmanager
    async def of(self, caller: Caller) -> AsyncIterator[None]:
        """Wait for a turn of this caller's, and have it; who came first is first.

        Raises:
            TooManyQueuedRequests: it did not come in time, or too many wait for theirs.
        """
        if self._requests[caller] >= caller.most + MOST_WAITING:
            raise TooManyQueuedRequests
        free = self._free.setdefault(caller, asyncio.Semaphore(caller.most))
        self._requests[caller] += 1
        try:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await free.acquire()
            except TimeoutError:
                raise TooManyQueuedRequests from None
            try:
                yield
            finally:
                free.release()
        finally:
            self._requests[caller] -= 1
            if not self._requests[caller]:
                del self._requests[caller], self._free[caller]

    def __len__(self) -> int:
        """Return how many callers have a request."""
        return len(self._free)


def caller_of(request: HttpRequest) -> Caller | None:
    """Return the caller: the token, else the session, else the network. They are not looked up.

    As many passwords of a network are looked at as are hashed at once: more would be refused after a while.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() in {"bearer", "token"} and token:
        return Caller("token", token.strip(), limits().requests_per_caller)
    if session := request.COOKIES.get(settings.SESSION_COOKIE_NAME):
        return Caller("session", session, limits().requests_per_caller)
    hashes = min(MAX_HASHES_PER_NETWORK, limits().password_hashes_at_once)
    return None if request.method in SAFE_METHODS else Caller("network", network_of(request), hashes)
