"""Limit on concurrent requests per caller, so that one caller cannot occupy a web process."""

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
from access.passwords.hashers import MAX_HASHES_PER_NETWORK
from common.limits import limits
from common.present_request import network_of
from orchestrator.problems import problem_of, retry_later_response
from orchestrator.web.middleware import AsyncMiddleware

MAX_WAIT_SECONDS = 30.0  # of a queued request
MAX_WAITING = 100  # queued requests per caller; more are rejected immediately


class CallerQueueMiddleware(AsyncMiddleware):
    """Processes a few concurrent requests per caller; more are queued.

    A process has one event loop. With a hundred concurrent requests of one caller, a request of another caller would
    take a hundred times as long. A caller is a token or a session; without both, it is the network of a login, and
    requests with safe methods are not limited. A stream occupies its slot only until it begins.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        super().__init__(get_response)
        self._queues = CallerQueues()

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request once its caller has a free slot."""
        if (caller := caller_of(request)) is None:
            return await self.get_response(request)
        try:
            async with self._queues.slot(caller):
                return await self.get_response(request)
        except TooManyQueuedRequests as error:
            return retry_later_response(request, problem_of(error))


@dataclass(frozen=True, slots=True)
class Caller:
    """A token, a session or a network, with its limit of concurrent requests."""

    kind: str
    name: str
    max_requests: int


class CallerQueues:
    """Queues of all callers that have requests. Idle callers use no memory."""

    def __init__(self) -> None:
        self._free: dict[Caller, asyncio.Semaphore] = {}
        self._requests: Counter[Caller] = Counter()

    @asynccontextmanager
    async def slot(self, caller: Caller) -> AsyncIterator[None]:
        """Hold one of the caller's slots; requests wait in order of arrival.

        Raises:
            TooManyQueuedRequests: the wait exceeded `MAX_WAIT_SECONDS`, or the queue is full.
        """
        if self._requests[caller] >= caller.max_requests + MAX_WAITING:
            raise TooManyQueuedRequests
        free = self._free.setdefault(caller, asyncio.Semaphore(caller.max_requests))
        self._requests[caller] += 1
        try:
            try:
                async with asyncio.timeout(MAX_WAIT_SECONDS):
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
        """Return the number of callers with requests."""
        return len(self._free)


def caller_of(request: HttpRequest) -> Caller | None:
    """Return the caller: the token, else the session, else the network. They are not verified here.

    A network may have as many logins as passwords are hashed concurrently: more would be rejected later anyway.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() in {"bearer", "token"} and token:
        return Caller("token", token.strip(), limits().requests_per_caller)
    if session := request.COOKIES.get(settings.SESSION_COOKIE_NAME):
        return Caller("session", session, limits().requests_per_caller)
    hashes = min(MAX_HASHES_PER_NETWORK, limits().password_hashes_at_once)
    return None if request.method in SAFE_METHODS else Caller("network", network_of(request), hashes)
