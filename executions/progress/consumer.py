"""`GET /api/v1/executions/{id}/stream` and `GET /api/v1/scopes/{type}/{id}/stream` as a plain ASGI application.

Authorization uses a thread and a database connection. Both are released before the first event is sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from io import BytesIO
from random import SystemRandom
from typing import Any, TypeVar

from channels.db import database_sync_to_async
from django.conf import settings
from django.core.exceptions import DisallowedHost, TooManyFieldsSent
from django.core.serializers.json import DjangoJSONEncoder
from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.settings import api_settings

from access.url_secrets import extract_ticket
from common.api.parsers import Utf8Request
from common.database.connections import read_only_request
from common.database.errors import is_transient
from common.errors import DomainError, InternalError, Malformed
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.runtime.cancellation import cancel_and_wait
from executions.progress.authorization import Admission
from executions.progress.hub import StreamHub
from executions.progress.sse import KEEPALIVE, Message, preamble
from executions.progress.stream_limits import OpenStream

Headers = Iterable[tuple[str, str]]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Admitted = TypeVar("Admitted")

STREAM_HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store, no-transform"),
    ("X-Accel-Buffering", "no"),  # prevents buffering in nginx
)
WRITE_BYTES = 65_536  # maximum size of one write, if several events are ready

_CHANCE = SystemRandom()

logger = logging.getLogger(__name__)


class StreamConsumer:
    """Serves the events of a stream to authorized clients.

    `admit` is called with the request, its ticket and the path parameters of the route. `request_id` returns the id of
    a request: the client's own, or a new one.
    """

    def __init__(
        self, streams: StreamHub, *, admit: Callable[..., Admission], request_id: Callable[[str | None], str]
    ) -> None:
        self._streams = streams
        self._admit = admit
        self._request_id = request_id

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Handle one request; return when the stream has ended or the client has disconnected."""
        ticket = extract_ticket(scope)
        request = Utf8Request(scope, BytesIO())
        request_id = self._request_id(request.headers.get("X-Request-ID"))
        request.request_id = request_id  # type: ignore[attr-defined]
        answer = SseResponse(request_id, send)
        wanted = partial(self._admit, request, ticket, **scope["url_route"]["kwargs"])
        try:
            admission = await authorize(request, wanted)
            place = None if admission.over else self._streams.limits.take(admission.grant)
        except (APIException, DomainError) as error:
            await answer.refuse(error, request)
            return
        del request, wanted  # free the memory: a stream may last for hours
        if place is None:
            await answer.start(204)
            await answer.end()
            return
        position = admission.after if admission.is_new else None
        with place:
            batches = self._batches(admission)
            await answer.start(200, STREAM_HEADERS)
            if await _cut_off(receive, answer.stream(batches, position=position), place):
                await answer.end()

    def _batches(self, admission: Admission) -> AsyncGenerator[list[Message], None]:
        if admission.inbox_of is not None:
            return self._streams.follow_inbox(admission.inbox_of, admission.limits)
        follow = self._streams.follow_feed if admission.is_feed else self._streams.follow
        return follow(admission.channel, after=admission.after, types=admission.types)


async def authorize(request: Utf8Request, admit: Callable[[], Admitted]) -> Admitted:
    """Return the result of `admit`, which is called in a thread.

    Raises:
        MethodNotAllowed, Malformed: the request is not valid. DatabaseUnavailable: the database cannot be reached.
        InternalError: an unexpected error occurred, which is logged.
    """
    if request.method != "GET":
        raise MethodNotAllowed(str(request.method))
    try:
        request.get_host()
        _ = request.GET
    except DisallowedHost as error:
        raise Malformed("This server does not serve that host.") from error
    except TooManyFieldsSent as error:
        raise Malformed("The query has too many fields.") from error
    try:
        with read_only_request():
            return await database_sync_to_async(admit, thread_sensitive=False)()
    except (APIException, DomainError):
        raise
    except Exception as error:
        if is_transient(error):
            raise DatabaseUnavailable("The database cannot be used now.") from error
        logger.exception("The authorization for %s failed.", request.path)
        raise InternalError from error


async def _cut_off(receive: Receive, streaming: Awaitable[None], place: OpenStream) -> bool:
    """Stream until the stream ends, the client disconnects, or the server ends it; cancel what is left of it.

    Return whether the server ended it, between two events. Then the end of the response still has to be sent.
    """
    sending = asyncio.ensure_future(streaming)
    leaving = asyncio.ensure_future(_disconnected(receive))
    # A random lifetime spreads the clients' reconnects.
    seconds = settings.STREAM_MAX_AGE_SECONDS * _CHANCE.uniform(0.8, 1.0)
    try:
        await asyncio.wait({sending, leaving, place.must_end}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        gone = leaving.done()
    finally:
        await cancel_and_wait(sending)
        await cancel_and_wait(leaving)
    if not sending.cancelled():
        sending.result()
    return sending.cancelled() and not gone


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class SseResponse:
    """The response to one client."""

    def __init__(self, request_id: str, send: Send) -> None:
        self._request_id = request_id
        self._send = send

    async def start(self, status: int, headers: Headers = ()) -> None:
        """Send status and headers, including the request id."""
        pairs = [*headers, ("X-Request-ID", self._request_id)]
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, body: bytes) -> None:
        """Send a part of the body; return when the server accepts more."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """Send the last part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def refuse(self, error: Exception, request: Utf8Request) -> None:
        """Send an error response in the format of the API."""
        context: dict[str, object] = {"request": request, "view": None, "args": (), "kwargs": {}}
        response = api_settings.EXCEPTION_HANDLER(error, context)  # type: ignore[operator]
        if response is None:
            raise error
        headers = {**response.headers, "Content-Type": "application/problem+json"}
        if isinstance(error, MethodNotAllowed):
            headers["Allow"] = "GET"
        body = json.dumps(response.data, cls=DjangoJSONEncoder).encode()
        await self.start(response.status_code, (*headers.items(), ("Content-Length", str(len(body)))))
        await self.end(body)

    async def stream(self, batches: AsyncGenerator[list[Message], None], *, position: int | None) -> None:
        """Send events as they come, all that are ready in one write, and end the body after the last."""
        await self.write(preamble(retry_ms=settings.STREAM_RETRY_MS, position=position))
        async with aclosing(batches):
            async for messages in batches:
                await self.write(_take_batch(messages) or KEEPALIVE)
                while messages:
                    await self.write(_take_batch(messages))
        await self.end()


def _take_batch(messages: list[Message]) -> bytes:
    """Remove messages from the start of the list, up to `WRITE_BYTES`, and return their bytes.

    Servers copy what they get. So an idle stream holds no messages.
    """
    count = size = 0
    for message in messages:
        size += len(message.payload)
        if count and size > WRITE_BYTES:
            break
        count += 1
    body = b"".join([message.payload for message in messages[:count]])
    del messages[:count]
    return body
