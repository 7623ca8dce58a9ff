"""The ASGI application: streams go to their consumer, all other requests to Django. Runs on daphne and on uvicorn."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import get_resolver, path, re_path, register_converter
from django.urls.converters import UUIDConverter

from orchestrator import startup

startup.prepare()
django.setup(set_prefix=False)  # the imports below need the apps

from access import url_secrets  # noqa: E402
from executions.progress.authorization import admit, admit_to_feed, admit_to_inbox  # noqa: E402
from executions.progress.consumer import Receive, Send, StreamConsumer  # noqa: E402
from executions.progress.hub import StreamHub  # noqa: E402
from executions.progress.pushpin.feed_consumer import PushpinFeedConsumer  # noqa: E402
from orchestrator.legacy_database import LegacyDatabase  # noqa: E402
from orchestrator.web import lifecycle  # noqa: E402
from orchestrator.web.asgi_handler import Handler  # noqa: E402
from orchestrator.web.loop_monitor import monitor_loop  # noqa: E402
from orchestrator.web.middleware import SecuredStreams, request_id  # noqa: E402

logger = logging.getLogger(__name__)
django_application = Handler()
streams = StreamHub()
_execution = SecuredStreams(StreamConsumer(streams, admit=admit, request_id=request_id))
_feed = SecuredStreams(
    PushpinFeedConsumer(
        StreamConsumer(streams, admit=admit_to_feed, request_id=request_id), streams=streams, request_id=request_id
    )
)
_inbox = SecuredStreams(StreamConsumer(streams, admit=admit_to_inbox, request_id=request_id))


class AnyUuid(UUIDConverter):
    """A UUID in upper or lower case, as in the rest of the API."""

    regex = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


register_converter(AnyUuid, "any-uuid")


async def _wait_for_database() -> None:
    try:
        await lifecycle.wait_for_database()
    except LegacyDatabase as error:
        logger.critical("%s", error)  # `/readyz` says so as well


async def lifespan(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """End the streams on a shutdown signal, because the server waits for them; then close their connections.

    The server also starts during a database outage; requests then get 503.
    """
    database_wait = asyncio.create_task(_wait_for_database(), name="waiting for the database")
    stop_monitor = monitor_loop(asyncio.get_running_loop(), limit_ms=settings.LOOP_STALL_MS)
    while (await receive())["type"] != "lifespan.shutdown":
        lifecycle.on_shutdown_signal(streams.end)
        await send({"type": "lifespan.startup.complete"})
    database_wait.cancel()
    await asyncio.wait({database_wait})
    await streams.close()
    stop_monitor()
    await send({"type": "lifespan.shutdown.complete"})


#: Loads all views now: the first request would wait for that.
_VIEWS = get_resolver().url_patterns
_routed = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("api/v1/executions/<any-uuid:execution_id>/stream", _execution),  # type: ignore[arg-type]
                path("api/v1/executions/<any-uuid:execution_id>/stream/", _execution),  # type: ignore[arg-type]
                re_path(r"^api/v1/scopes/(?P<scope_type>[^/]+)/(?P<scope_id>(?s:.+))/stream/?\Z", _feed),  # type: ignore[arg-type]
                re_path(r"^api/v1/inbox/stream/?\Z", _inbox),  # type: ignore[arg-type]
                re_path(r"", django_application),  # type: ignore[arg-type]
            ]
        ),
        "lifespan": lifespan,
    }
)


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer a request, after removing the secrets from its address, so that no log shows them."""
    url_secrets.extract_ticket(scope)
    url_secrets.extract_invitation_token(scope)
    has_nul = "\0" in scope.get("path", "")  # Django responds with 404
    await (django_application if has_nul else _routed)(scope, receive, send)
