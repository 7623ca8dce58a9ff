"""Feeds behind Pushpin: stored events are answered here, and Pushpin holds the connection for later ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent
from rest_framework.exceptions import APIException

from access.services import sign_ticket
from access.url_secrets import TicketText, extract_ticket, ticket_target
from common.api.parsers import Utf8Request
from common.database.server import database_now
from common.errors import DomainError
from executions.engine.domain.errors import DatabaseUnavailable
from executions.progress import sse
from executions.progress.authorization import Admission, admit_to_feed
from executions.progress.consumer import STREAM_HEADERS, Receive, Send, SseResponse, StreamConsumer, authorize
from executions.progress.hub import StreamHub
from executions.progress.pushpin import requests
from executions.progress.sse import Message

BODY_BYTES = 64_000  # maximum first response that Pushpin is to hold; Pushpin's limit is 100,000
LINK_BYTES = 1_000_000  # maximum catch-up for a held client; with more missing events the client reconnects
SETTLE_SECONDS = 0.1  # time for the relay to deliver events that were just read here
TICKET_ROUND_SECONDS = 60  # tickets are rounded up: clients of one user share them, and Pushpin's requests
_SPREAD = 0.618  # spreads users evenly over the last fifth of the maximum age, in which streams end


class PushpinFeedConsumer:
    """Handles requests that came through Pushpin. It passes all others to `direct`.

    Requests for some event types, or for more past events than one response can contain, also go to `direct`.
    """

    def __init__(self, direct: StreamConsumer, *, streams: StreamHub, request_id: Callable[[str | None], str]) -> None:
        self._direct = direct
        self._streams = streams
        self._request_id = request_id

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Handle one request."""
        passed_on = requests.parse_request(scope, ticket=extract_ticket(scope))
        request = Utf8Request(scope, BytesIO())
        if passed_on is None or _is_for_types(request):
            await self._direct(scope, receive, send)
            return
        request_id = self._request_id(request.headers.get("X-Request-ID"))
        request.request_id = request_id  # type: ignore[attr-defined]
        answer = SseResponse(request_id, send)
        wanted = partial(_authorize, request, passed_on.ticket, **scope["url_route"]["kwargs"])
        try:
            admission, ticket = await authorize(request, wanted)
            limit = LINK_BYTES if passed_on.is_link else BODY_BYTES
            messages, whole = await self._streams.page_of_feed(
                admission.channel, after=admission.after, limit_bytes=limit
            )
        except (APIException, DomainError) as error:
            await _refuse(answer, error, None if passed_on.is_link else request)
            return
        body = b"".join(message.payload for message in messages)
        if passed_on.is_link:
            text = str(passed_on.ticket.text)
            await _catch_up(answer, body, _headers(request, admission, ticket=text, messages=messages) if whole else ())
        elif whole and len(body) <= BODY_BYTES:
            position = admission.after if admission.is_new else None
            await answer.start(200, (*STREAM_HEADERS, *_headers(request, admission, ticket=ticket, messages=messages)))
            await answer.end(sse.preamble(retry_ms=settings.STREAM_RETRY_MS, position=position) + body)
        else:
            await self._direct(scope, receive, send)


def _is_for_types(request: Utf8Request) -> bool:
    """Return whether the client wants only some event types; also True for a query that will be rejected."""
    try:
        return "types" in request.GET
    except TooManyFieldsSent:
        return True


def _authorize(request: Utf8Request, ticket: TicketText, **route: str) -> tuple[Admission, str]:
    """Return the authorized stream, and a ticket with which Pushpin asks again for the client."""
    admission = admit_to_feed(request, ticket, **route)
    age = settings.STREAM_MAX_AGE_SECONDS * (1.0 - 0.2 * (admission.grant.credential.user_id * _SPREAD % 1.0))
    ends_at = (database_now() + timedelta(seconds=age)).timestamp()
    rounded = datetime.fromtimestamp(-(-ends_at // TICKET_ROUND_SECONDS) * TICKET_ROUND_SECONDS, UTC)
    opens = ticket_target("scope", admission.channel)
    return admission, sign_ticket(credential=admission.grant.credential, opens=opens, expires_at=rounded)


def _headers(
    request: Utf8Request, admission: Admission, *, ticket: str, messages: list[Message]
) -> list[tuple[str, str]]:
    after = messages[-1].number if messages else admission.after
    return requests.hold(admission.channel, after=after, path=quote(request.path), ticket=ticket)


async def _catch_up(answer: SseResponse, body: bytes, headers: list[tuple[str, str]] | tuple[()]) -> None:
    """Send Pushpin the events that a client lacks. Without headers they are incomplete: the client reconnects."""
    if body:
        # If the relay lags behind, its next event does not follow directly, and Pushpin asks again.
        await asyncio.sleep(SETTLE_SECONDS)
    await answer.start(200, (*STREAM_HEADERS, *headers))
    await answer.end(body)


async def _refuse(answer: SseResponse, error: Exception, request: Utf8Request | None) -> None:
    """Send an error to the client.

    For a held response (None), make Pushpin close it; the client reconnects and gets it.
    """
    if request is not None:
        await answer.refuse(error, request)
    elif isinstance(error, DatabaseUnavailable):
        await answer.start(503)  # Pushpin tries again
        await answer.end()
    else:
        await answer.start(200, STREAM_HEADERS)
        await answer.end()
