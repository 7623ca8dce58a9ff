"""An ASGI client of the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from channels.routing import URLRouter
from django.urls import path

from executions.progress.authorization import admit, admit_to_feed, admit_to_inbox
from executions.progress.consumer import StreamConsumer
from executions.progress.hub import StreamHub
from executions.progress.pushpin.feed_consumer import PushpinFeedConsumer
from tests.support.waiting import HANG_SECONDS


@dataclass
class Answer:
    """What the application has sent so far."""

    status: int
    headers: dict[str, str]
    incoming: asyncio.Queue[dict[str, Any]]
    outgoing: asyncio.Queue[dict[str, Any]]
    task: asyncio.Task[None]
    ended: bool = False
    text: str = field(default="")

    async def read(self) -> str:
        """Return the next part of the body, empty at its end."""
        async with asyncio.timeout(HANG_SECONDS):
            message = await self.outgoing.get()
        self.ended = not message.get("more_body", False)
        part: str = message.get("body", b"").decode()
        self.text += part
        return part

    async def rest(self) -> str:
        """Return the body up to its end."""
        while not self.ended:
            await self.read()
        return self.text

    async def until(self, part: str) -> str:
        """Return the whole body so far, once this is in it."""
        while part not in self.text:
            await self.read()
        return self.text

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Return the next `count` events."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += parsed(await self.read())
        return found

    def leave(self) -> None:
        """Close the connection, as a client does."""
        self.incoming.put_nowait({"type": "http.disconnect"})

    def json(self) -> dict[str, Any]:
        """Return the body as JSON."""
        found: dict[str, Any] = json.loads(self.text)
        return found


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the events in a part of a stream, each with its `id` and `event` lines."""
    events = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in lines:
            events.append({"id": lines["id"], "event": lines["event"], **json.loads(lines["data"])})
    return events


def ids(text: str) -> list[str]:
    """Return the ids of the events in a part of a stream."""
    return [event["id"] for event in parsed(text)]


def _request_id(given: str | None) -> str:
    return given or "made-here"


class Browser:
    """Asks for streams."""

    def __init__(self, streams: StreamHub) -> None:
        self.streams = streams
        executions, direct, inbox = (
            StreamConsumer(streams, admit=each, request_id=_request_id)
            for each in (admit, admit_to_feed, admit_to_inbox)
        )
        feeds = PushpinFeedConsumer(direct, streams=streams, request_id=_request_id)
        self._application = URLRouter(
            [
                path("inbox/stream", inbox),  # type: ignore[arg-type]
                path("executions/<uuid:execution_id>/stream", executions),  # type: ignore[arg-type]
                path("scopes/<str:scope_type>/<path:scope_id>/stream", feeds),  # type: ignore[arg-type]
            ]
        )

    @asynccontextmanager
    async def get(
        self,
        channel: UUID | str,
        *,
        token: str | None = None,
        query: str = "",
        method: str = "GET",
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[Answer]:
        """Open the stream of an execution, of a scope (`type/key`), or of the inbox (`inbox`); leave it at the end."""
        given = {"Host": "localhost", **({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": _path(channel),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()],
        }
        incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        incoming.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        task = asyncio.create_task(self._application(scope, incoming.get, outgoing.put))
        async with asyncio.timeout(HANG_SECONDS):
            start = await outgoing.get()
        answer = Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            incoming,
            outgoing,
            task,
        )
        try:
            yield answer
        finally:
            answer.leave()
            async with asyncio.timeout(HANG_SECONDS):
                await task


def _path(channel: UUID | str) -> str:
    if isinstance(channel, UUID):
        return f"/executions/{channel}/stream"
    return "/inbox/stream" if channel == "inbox" else f"/scopes/{channel}/stream"
