"""GRIP, as Pushpin speaks it: which requests it has passed on, and what tells it to hold an answer open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from gripcontrol import Channel, create_grip_channel_header, parse_grip_uri, validate_sig

from access.tickets import TicketText
from executions.progress.sse import Message

_FEED = "feed-"
_TICKET = "ticket-"
_STILL = "0"  # the last id of a channel on which nothing is ever published
_LINK = "link=1"  # in the query of what Pushpin asks by itself, for an answer that it holds


@dataclass(frozen=True, slots=True, kw_only=True)
class PushpinRequest:
    """A request that came through Pushpin: of a client, or its own for what a client that it holds has missed."""

    is_link: bool
    ticket: TicketText


def channel_of(scope_id: UUID) -> str:
    """Return the name that the feed of a root scope has in Pushpin."""
    return f"{_FEED}{scope_id}"


def item(message: Message) -> dict[str, object]:
    """Return an event of a feed as Pushpin takes it, with its number and the one before."""
    formats = {"http-stream": {"content": message.payload.decode()}}
    last = message.number
    return {"channel": channel_of(message.channel), "id": str(last), "prev-id": str(last - 1), "formats": formats}


def control_uri() -> str:
    """Return where Pushpin takes events."""
    return str(_control(settings.GRIP_URL)["control_uri"])


def parse_request(scope: dict[str, Any], *, ticket: TicketText) -> PushpinRequest | None:
    """Return what an ASGI request is to Pushpin, None when it did not come through there or was not signed by it.

    What Pushpin asks by itself says where the client is and with which ticket; the scope is changed in place, so that
    it reads as if the client had asked.
    """
    headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
    signature = dict(headers).get(b"grip-sig")
    if not (settings.GRIP_URL and signature and _is_signed(signature)):
        return None
    lasts = [value.partition(";") for name, value in headers if name == b"grip-last"]
    known = {channel.strip(): said.strip().removeprefix("last-id=") for channel, _, said in lasts}
    tickets = [channel.removeprefix(_TICKET) for channel in known if channel.startswith(_TICKET)]
    positions = [last for channel, last in known.items() if channel.startswith(_FEED)]
    if not (tickets and positions and scope.get("query_string") == _LINK.encode()):
        return PushpinRequest(is_link=False, ticket=ticket)
    kept = [(name, value) for name, value in scope["headers"] if name not in {b"last-event-id", b"authorization"}]
    scope["headers"] = [*kept, (b"last-event-id", positions[0].encode())]
    return PushpinRequest(is_link=True, ticket=TicketText(tickets[0]))


def hold(scope_id: UUID, *, after: int, path: str, ticket: str) -> list[tuple[str, str]]:
    """Return the headers that have Pushpin hold the answer for a client that has the events up to `after`.

    Pushpin asks at `path` for what the client lacks whenever an event does not follow the one before, and every
    `GRIP_RECHECK_SECONDS` in any case: the second channel, on which nothing ever comes, sees to that. Its name is the
    ticket, so that Pushpin asks on behalf of each client apart, and the ticket is in no URL.
    """
    channels = [Channel(channel_of(scope_id), prev_id=str(after)), Channel(f"{_TICKET}{ticket}", prev_id=_STILL)]
    keepalive, recheck = round(settings.STREAM_KEEPALIVE_SECONDS), round(settings.GRIP_RECHECK_SECONDS)
    return [
        ("Grip-Hold", "stream"),
        ("Grip-Channel", create_grip_channel_header(channels)),
        ("Grip-Link", f"<{path}?{_LINK}>; rel=next; timeout={recheck}"),
        ("Grip-Keep-Alive", rf": keep-alive\n\n; format=cstring; timeout={max(1, keepalive)}"),
    ]


def _is_signed(signature: str) -> bool:
    said = _control(settings.GRIP_URL)
    signed: bool = validate_sig(signature, said["verify_key"], iss=said.get("verify_iss"))
    return signed


@cache
def _control(url: str) -> dict[str, Any]:
    return dict(parse_grip_uri(url))
