"""Tickets: let a client that cannot send headers (a browser's `EventSource`) follow one stream for a short time.

A ticket is signed, opens one thing for reading, and names the token or the session that it was made with: without that
it is worth nothing any more. It travels in the query of a URL, which servers like to log; so it is taken out of there
before anybody looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes
from uuid import UUID

from django.core.signing import BadSignature, Signer

from access.errors import BadTicket

MAX_SECONDS = 900
DEFAULT_SECONDS = 300

_SALT = "access.tickets"  # another form of ticket takes another salt
_PARAMETER = b"ticket"
_TAKEN = "scriptorium.ticket"  # where it is in an ASGI scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a ticket says."""

    user_id: int
    opens: str  # as `opening` names it
    made_with: str  # `token:` and the start of its digest, or `session:` and the name that may be told
    expires_at: datetime  # a whole second


@dataclass(frozen=True, slots=True)
class Shown:
    """The ticket that a request shows, None for none; its text appears in no log."""

    text: str | None = field(repr=False)


def opening(kind: Literal["execution", "scope"], identity: UUID) -> str:
    """Return how a ticket names the one stream that it opens."""
    return f"{kind}:{identity}"


def sign(ticket: Ticket) -> str:
    """Return the ticket as text that needs no escaping in a URL."""
    said = {
        "user": ticket.user_id,
        "opens": ticket.opens,
        "with": ticket.made_with,
        "until": int(ticket.expires_at.timestamp()),
    }
    return Signer(salt=_SALT).sign_object(said)


def read(text: str, *, opens: str, now: datetime) -> Ticket:
    """Return what a ticket says.

    Raises:
        BadTicket: it is none of ours, it has expired, or it opens something else.
    """
    try:
        said = Signer(salt=_SALT).unsign_object(text)
    except BadSignature:
        raise BadTicket from None  # its message quotes a part of the ticket
    ticket = Ticket(
        user_id=said["user"],
        opens=said["opens"],
        made_with=said["with"],
        expires_at=datetime.fromtimestamp(said["until"], UTC),
    )
    if ticket.opens != opens or ticket.expires_at <= now:
        raise BadTicket
    return ticket


def take(scope: dict[str, Any]) -> Shown:
    """Return the ticket in the query of an ASGI request, and leave the query without its value.

    The scope is changed in place: servers hold it too, and print the query in their access logs.
    """
    if _TAKEN not in scope:
        parts = scope.get("query_string", b"").split(b"&")
        pairs = [part.partition(b"=") for part in parts]
        shown = [value for name, _, value in pairs if _is_ticket(name)]
        if shown:
            scope["query_string"] = b"&".join(
                name + b"=" if _is_ticket(name) else part for part, (name, _, _) in zip(parts, pairs, strict=True)
            )
        scope[_TAKEN] = Shown(unquote_to_bytes(shown[-1]).decode(errors="replace") if shown else None)
    taken: Shown = scope[_TAKEN]
    return taken


def with_ticket(scope: dict[str, Any]) -> bytes:
    """Return the query of a request as it came, with the ticket that was taken from it."""
    text = take(scope).text
    parts: list[bytes] = scope.get("query_string", b"").split(b"&")
    if text is None:
        return b"&".join(parts)
    whole = b"ticket=" + quote(text, safe="").encode()
    return b"&".join([*(part for part in parts if not _is_ticket(part.partition(b"=")[0])), whole])


def _is_ticket(name: bytes) -> bool:
    return unquote_to_bytes(name.replace(b"+", b" ")) == _PARAMETER
