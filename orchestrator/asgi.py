"""The ASGI application: streams go to their consumer, everything else to Django. Runs on daphne and on uvicorn."""

from __future__ import annotations

import asyncio
from typing import Any

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path, re_path, register_converter
from django.urls.converters import UUIDConverter

from orchestrator import startup

startup.prepare()
django.setup(set_prefix=False)  # before the imports below: they need the apps

from access import tickets  # noqa: E402
from executions.progress.authorization import admit, admit_to_feed  # noqa: E402
from executions.progress.consumer import Receive, Send, StreamConsumer  # noqa: E402
from executions.progress.hub import StreamHub  # noqa: E402
from executions.progress.pushpin.feed_consumer import PushpinFeedConsumer  # noqa: E402
from orchestrator.web import lifecycle  # noqa: E402
from orchestrator.web.asgi_handler import Handler  # noqa: E402
from orchestrator.web.headers import SecuredStreams  # noqa: E402
from orchestrator.web.loop_monitor import monitor_loop  # noqa: E402
from orchestrator.web.middleware import request_id  # noqa: E402

django_application = Handler()
streams = StreamHub()
_execution = SecuredStreams(StreamConsumer(streams, admit=admit, request_id=request_id))
_feed = SecuredStreams(
    PushpinFeedConsumer(
        StreamConsumer(streams, admit=admit_to_feed, request_id=request_id), streams=streams, request_id=request_id
    )
)


class AnyUuid(UUIDConverter):
    """A UUID in letters of either case, as the rest of the API takes it."""

    regex = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


register_converter(AnyUuid, "any-uuid")


async def lifespan(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """End the streams when the server is told to stop, as it waits for that; then give their connections back.

    A database that is away keeps no server from starting: requests are answered with 503 meanwhile.
    """
    waiting = asyncio.create_task(lifecycle.wait_for_database(), name="waiting for the database")
    stop_monitor = monitor_loop(asyncio.get_running_loop(), limit_ms=settings.LOOP_STALL_MS)
    while (await receive())["type"] != "lifespan.shutdown":
        lifecycle.when_told_to_end(streams.end)
        await send({"type": "lifespan.startup.complete"})
    waiting.cancel()
    await asyncio.wait({waiting})
    await streams.close()
    stop_monitor()
    await send({"type": "lifespan.shutdown.complete"})


_routed = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("api/v1/executions/<any-uuid:execution_id>/stream", _execution),  # type: ignore[arg-type]
                path("api/v1/executions/<any-uuid:execution_id>/stream/", _execution),  # type: ignore[arg-type]
                re_path(r"^api/v1/scopes/(?P<scope_type>[^/]+)/(?P<scope_id>(?s:.+))/stream/?\Z", _feed),  # type: ignore[arg-type]
                re_path(r"", django_application),  # type: ignore[arg-type]
            ]
        ),
        "lifespan": lifespan,
    }
)


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer a request; whoever logs it sees no ticket."""
    tickets.extract_ticket(scope)
    leads_nowhere = "\0" in scope.get("path", "")
    await (django_application if leads_nowhere else _routed)(scope, receive, send)
