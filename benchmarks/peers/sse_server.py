"""sse-starlette: a queue per client, filled from LISTEN. Runs on uvicorn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from benchmarks.workload import database_url

Queue = asyncio.Queue[ServerSentEvent]

channels: dict[str, set[Queue]] = {}


async def listen() -> None:
    """Forward notifications."""
    async with await psycopg.AsyncConnection.connect(database_url(), autocommit=True) as connection:
        await connection.execute("LISTEN bench_events")
        async for notification in connection.notifies():
            event = json.loads(notification.payload)
            message = ServerSentEvent(notification.payload, event=event["event_type"], id=str(event["sequence"]))
            for queue in channels.get(event["execution_id"], ()):
                queue.put_nowait(message)


async def stream(request: Request) -> EventSourceResponse:
    """Stream the events of one channel."""
    followers = channels.setdefault(request.path_params["channel"], set())
    queue: Queue = asyncio.Queue()
    followers.add(queue)

    async def events() -> AsyncIterator[ServerSentEvent]:
        try:
            while True:
                yield await queue.get()
        finally:
            followers.discard(queue)

    return EventSourceResponse(events())


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Listen while the server runs."""
    listening = asyncio.create_task(listen())
    yield
    listening.cancel()


application = Starlette(routes=[Route("/stream/{channel}", stream)], lifespan=lifespan)
