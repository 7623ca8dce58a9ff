"""The GRIP protocol of Pushpin: requests that it forwards, and headers that make it hold a response open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from gripcontrol import Channel, create_grip_channel_header, parse_grip_uri, validate_sig

from access.url_secrets import TicketText
from executions.progress.sse import Message

_FEED = "feed-"
_TICKET = "ticket-"
_STILL = "0"  # last id of a channel on which no event is ever published
_LINK = "link=1"  # query of the requests that Pushpin makes itself, for a response that it holds


@dataclass(frozen=True, slots=True, kw_only=True)
class PushpinRequest:
    """A request that came through Pushpin: a client's, or Pushpin's own for events that a held client missed."""

    is_link: bool
    ticket: TicketText


def channel_of(scope_id: UUID) -> str:
    """Return the Pushpin channel of a root scope's feed."""
    return f"{_FEED}{scope_id}"


def item(message: Message) -> dict[str, object]:
    """Return an event of a feed as Pushpin item, with its number and the number before."""
    formats = {"http-stream": {"content": message.payload.decode()}}
    last = message.number
    return {"channel": channel_of(message.channel), "id": str(last), "prev-id": str(last - 1), "formats": formats}


def control_uri() -> str:
    """Return the URI to which events are published."""
    return str(_control(settings.GRIP_URL)["control_uri"])


def parse_request(scope: dict[str, Any], *, ticket: TicketText) -> PushpinRequest | None:
    """Return the Pushpin request of an ASGI request; None if it did not come through Pushpin or has no valid signature.

    Pushpin's own requests contain the client's position and ticket. The ASGI scope is changed in place, so that it
    looks like a request of the client.
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
    """Return the headers that make Pushpin hold the response for a client with the events up to `after`.

    Pushpin requests missing events at `path` when an event does not follow directly, and every `GRIP_RECHECK_SECONDS`.
    The second channel, on which no event is published, causes the latter. Its name is the ticket. So Pushpin makes one
    request per ticket, and the ticket is in no URL.
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
