"""Secrets in URLs, which no log may show: tickets of streams, and tokens in the links of invitations.

A ticket is short-lived access to one stream, for clients that cannot send headers, such as a browser's `EventSource`.
It is signed, permits reading one stream, and names the token or session that it was issued with. It becomes invalid
with that token or session. The link of an invitation has a token in its path.

Servers log URLs. So the application takes these secrets out of the URL before any other code reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote, unquote, unquote_to_bytes
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest

from access.errors import BadTicket

MAX_SECONDS = 900
DEFAULT_SECONDS = 300

_SALT = "access.tickets"  # change the salt with the form of tickets
_PARAMETER = b"ticket"
_TICKET_KEY = "scriptorium.ticket"  # in an ASGI scope

#: The path of all invitations, as logs and Django see it.
HIDDEN_PATH = "/invitations/token/"
_INVITATION_KEY = "scriptorium.invitation"  # in an ASGI scope
#: Also with more slashes, and with something behind it, as programs of mail make it.
_LINK = re.compile(r"/+invitations/+([^/?]+).*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Contents of a ticket."""

    user_id: int
    opens: str  # see `ticket_target`
    made_with: str  # `token:` and the start of its digest, or `session:` and its public name
    expires_at: datetime  # a whole second


@dataclass(frozen=True, slots=True)
class TicketText:
    """The ticket of a request, or None. Its repr, and so every log, hides the text."""

    text: str | None = field(repr=False)


def ticket_target(kind: Literal["execution", "scope"], identity: UUID) -> str:
    """Return the name of a stream in tickets."""
    return f"{kind}:{identity}"


def sign(ticket: Ticket) -> str:
    """Return the signed ticket, as text that is safe in a URL."""
    payload = {
        "user": ticket.user_id,
        "opens": ticket.opens,
        "with": ticket.made_with,
        "until": int(ticket.expires_at.timestamp()),
    }
    return Signer(salt=_SALT).sign_object(payload)


def read(text: str, *, opens: str, now: datetime) -> Ticket:
    """Verify a ticket, and return its contents.

    Raises:
        BadTicket: the signature is invalid, the ticket has expired, or it opens another stream.
    """
    try:
        payload = Signer(salt=_SALT).unsign_object(text)
    except BadSignature:
        raise BadTicket from None  # the original message quotes a part of the ticket
    ticket = Ticket(
        user_id=payload["user"],
        opens=payload["opens"],
        made_with=payload["with"],
        expires_at=datetime.fromtimestamp(payload["until"], UTC),
    )
    if ticket.opens != opens or ticket.expires_at <= now:
        raise BadTicket
    return ticket


def extract_ticket(scope: dict[str, Any]) -> TicketText:
    """Return the ticket in the query of an ASGI request, and remove its value from the query.

    The ASGI scope is changed in place, because the server logs the query of the same scope.
    """
    if _TICKET_KEY not in scope:
        parts = scope.get("query_string", b"").split(b"&")
        pairs = [part.partition(b"=") for part in parts]
        values = [value for name, _, value in pairs if _is_ticket(name)]
        if values:
            scope["query_string"] = b"&".join(
                name + b"=" if _is_ticket(name) else part for part, (name, _, _) in zip(parts, pairs, strict=True)
            )
        scope[_TICKET_KEY] = TicketText(unquote_to_bytes(values[-1]).decode(errors="replace") if values else None)
    ticket: TicketText = scope[_TICKET_KEY]
    return ticket


def restore_ticket(scope: dict[str, Any]) -> bytes:
    """Return the original query of a request, including its ticket."""
    text = extract_ticket(scope).text
    parts: list[bytes] = scope.get("query_string", b"").split(b"&")
    if text is None:
        return b"&".join(parts)
    parameter = b"ticket=" + quote(text, safe="").encode()
    return b"&".join([*(part for part in parts if not _is_ticket(part.partition(b"=")[0])), parameter])


def _is_ticket(name: bytes) -> bool:
    return unquote_to_bytes(name.replace(b"+", b" ")) == _PARAMETER


@dataclass(frozen=True, slots=True)
class InvitationToken:
    """The token in the path of a request. Its repr, and so every log, hides it."""

    text: str = field(repr=False)


def hide_invitation_token(path: str) -> str:
    """Return a path as logs may show it."""
    return HIDDEN_PATH if _LINK.fullmatch(unquote(path)) else path


def extract_invitation_token(scope: dict[str, Any]) -> None:
    """Move the token of an invitation's link out of the path of a request."""
    found = _LINK.fullmatch(scope.get("path", ""))
    if found is not None:
        scope[_INVITATION_KEY] = InvitationToken(found[1])
        scope["path"], scope["raw_path"] = HIDDEN_PATH, HIDDEN_PATH.encode()


def invitation_token(request: HttpRequest, in_path: str) -> str:
    """Return the token of a request; `in_path` if the server has not moved it, as in tests."""
    hidden: InvitationToken | None = getattr(request, "scope", {}).get(_INVITATION_KEY)
    return in_path if hidden is None else hidden.text
