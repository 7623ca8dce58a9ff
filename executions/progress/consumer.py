"""`GET /api/v1/executions/{id}/stream`: a plain ASGI application.

A thread and a database connection are used to let a client in, and given back before its first event is sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from io import BytesIO
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, OperationalError
from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.settings import api_settings

from executions.engine.errors import EngineError, Unavailable
from executions.progress.admission import admit
from executions.progress.cancel import end
from executions.progress.streams import Streams
from executions.progress.wire import KEEPALIVE, Message, retry_line

Headers = Iterable[tuple[str, str]]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

STREAM_HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache, no-transform"),
    ("X-Accel-Buffering", "no"),  # nginx would hold events back
)


class BadHost(APIException):
    """The Host header names a host that this server does not serve."""

    status_code = 400
    default_code = "bad-request"
    default_detail = "This server does not serve that host."


class StreamConsumer:
    """Serves the events of one execution to each client that may read them.

    `request_id` makes the id of a request, from the one that the client gives or anew.
    """

    def __init__(self, streams: Streams, *, request_id: Callable[[str | None], str]) -> None:
        self._streams = streams
        self._request_id = request_id

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; returns when the stream has ended or the client is gone."""
        request = ASGIRequest(scope, BytesIO())
        request_id = self._request_id(request.headers.get("X-Request-ID"))
        request.request_id = request_id  # type: ignore[attr-defined]
        answer = Answer(request_id, send)
        execution_id: UUID = scope["url_route"]["kwargs"]["execution_id"]
        try:
            after = await _admit(request, execution_id)
        except (APIException, EngineError) as error:
            await answer.refuse(error, request)
            return
        del request  # a stream may last for hours
        if after is None:
            await answer.start(204)
            await answer.end()
            return
        await _until_disconnect(receive, answer.stream(self._streams.follow(execution_id, after=after)))


async def _admit(request: ASGIRequest, execution_id: UUID) -> int | None:
    if request.method != "GET":
        raise MethodNotAllowed(str(request.method))
    try:
        request.get_host()
    except DisallowedHost as error:
        raise BadHost from error
    try:
        return await database_sync_to_async(admit, thread_sensitive=False)(request, execution_id)
    except (OperationalError, InterfaceError) as error:
        raise Unavailable("The database cannot be reached.") from error


async def _until_disconnect(receive: Receive, streaming: Awaitable[None]) -> None:
    """Run until the stream ends or the client is gone, whichever comes first; then nothing of it is left."""
    sending = asyncio.ensure_future(streaming)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(sending)
        await end(leaving)
    if not sending.cancelled():
        sending.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Answer:
    """What goes back to one client."""

    def __init__(self, request_id: str, send: Send) -> None:
        self._request_id = request_id
        self._send = send

    async def start(self, status: int, headers: Headers = ()) -> None:
        """Send the status and the headers, the request's id among them."""
        pairs = [*headers, ("X-Request-ID", self._request_id)]
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, body: bytes) -> None:
        """Send a part of the body; returns when the server takes more."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """Send the last part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def refuse(self, error: Exception, request: ASGIRequest) -> None:
        """Send the error in the shape that the rest of the API gives it."""
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

    async def stream(self, batches: AsyncGenerator[list[Message], None]) -> None:
        """Send events as they come, whatever is there at once in one write, and end the body after the last."""
        await self.start(200, STREAM_HEADERS)
        await self.write(retry_line(settings.STREAM_RETRY_MS))
        async with aclosing(batches):
            async for messages in batches:
                await self.write(_taken(messages) or KEEPALIVE)
        await self.end()


def _taken(messages: list[Message]) -> bytes:
    """Return the bytes of the messages, and empty the list: a stream that is silent afterwards holds none of them."""
    body = b"".join([message.payload for message in messages])
    messages.clear()
    return body
