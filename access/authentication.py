"""Who asks: a token in the `Authorization` header, and for streams also a ticket or a session."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from access import selectors, tickets
from access.errors import BadTicket
from access.stream_grants import Credential
from access.tickets import Shown
from access.user import User
from common.database.server import database_now


class TokenAuthentication(KnoxTokenAuthentication):
    """Knox's hashed tokens, after `Bearer` (RFC 6750) and `Token` alike."""

    def authenticate(self, request: Request | HttpRequest) -> object:
        """Return (user, token), or None when the header is not ours.

        Raises:
            AuthenticationFailed: the token is unknown, expired or malformed.
        """
        self._prefix = "Token" if request.headers.get("Authorization", "")[:6].lower() == "token " else "Bearer"
        try:
            return super().authenticate(request)
        except UnicodeDecodeError as error:
            raise AuthenticationFailed from error  # knox lets it through: no token has such bytes

    def _cleanup_token(self, auth_token: AuthToken) -> bool:
        """Remove a token that has expired, and return whether it has. Others are removed by workers, now and then."""
        if auth_token.expiry is None or auth_token.expiry >= database_now():
            return False
        auth_token.delete()
        return True

    def authenticate_header(self, request: Request | HttpRequest) -> str:
        """Return the scheme; also what `WWW-Authenticate` says."""
        return getattr(self, "_prefix", "Bearer")


def identify(request: HttpRequest, *, ticket: Shown, opens: str, now: datetime) -> tuple[User, Credential]:
    """Return who wants to read what `opens` names, and what says so: a token, else a ticket, else a session.

    What is shown has to be right: a wrong ticket is refused though there is a session too.

    Raises:
        AuthenticationFailed: the token or the ticket is wrong. NotAuthenticated: nothing is shown.
    """
    tokens = TokenAuthentication()
    try:
        if isinstance(found := tokens.authenticate(request), tuple):
            return _holder(found[1])
        if ticket.text is not None:
            return _bearer(request, tickets.read(ticket.text, opens=opens, now=now), now)
        return _session_holder(request, request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    except (AuthenticationFailed, NotAuthenticated) as error:
        error.auth_header = tokens.authenticate_header(request)  # type: ignore[union-attr]
        raise


def _holder(token: AuthToken) -> tuple[User, Credential]:
    return token.user, Credential(user_id=token.user.pk, token=token.digest)


def _session_holder(request: HttpRequest, key: str | None) -> tuple[User, Credential]:
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    if not isinstance(user, User):
        raise NotAuthenticated
    return user, Credential(user_id=user.pk, session=key, password=user.password)


def _bearer(request: HttpRequest, ticket: tickets.Ticket, now: datetime) -> tuple[User, Credential]:
    """Return the holder of what a ticket was made with.

    Raises:
        BadTicket: that is revoked, expired or ended, or the user is deactivated.
    """
    kind, _, name = ticket.made_with.partition(":")
    if kind == "token":
        if (token := selectors.token_called(name, user_id=ticket.user_id, now=now)) is None:
            raise BadTicket
        return _holder(token)
    try:
        user, credential = _session_holder(request, selectors.session_called(UUID(name)))
    except NotAuthenticated as error:
        raise BadTicket from error
    if user.pk != ticket.user_id:  # the browser has another user now
        raise BadTicket
    return user, credential
