"""Authentication: a token in the `Authorization` header; for streams also a ticket or a session. Rights of tokens."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from access import selectors, url_secrets
from access.credentials.last_use import LAST_USES
from access.errors import BadTicket, RightMissing
from access.permissions import ALL_RIGHTS, Right, TokenLimits, missing_right
from access.selectors import Credential, Token
from access.url_secrets import TicketText
from access.user import User
from common.database.server import database_now


class TokenAuthentication(KnoxTokenAuthentication):
    """Knox tokens with the scheme `Bearer` (RFC 6750) or `Token`."""

    def authenticate(self, request: Request | HttpRequest) -> object:
        """Return (user, token), or None if the header has another scheme.

        Raises:
            AuthenticationFailed: the token is unknown, expired or malformed.
        """
        self._prefix = "Token" if request.headers.get("Authorization", "")[:6].lower() == "token " else "Bearer"
        try:
            return super().authenticate(request)
        except UnicodeDecodeError as error:
            raise AuthenticationFailed from error  # knox does not catch it; tokens are ASCII

    def authenticate_credentials(self, token: bytes) -> tuple[User, Token]:
        """Return the user with the limits of the token, and the token. A duty deletes expired tokens.

        Raises:
            AuthenticationFailed: the token is unknown or expired, or its user is deactivated.
        """
        row, now = selectors.token_of_digest(hash_token(token.decode())), database_now()
        if row is None or (row.expiry is not None and row.expiry < now):
            raise AuthenticationFailed("Invalid token.")
        if not row.user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        LAST_USES.note(row.digest, written=row.last_used_at, now=now)
        return _bearer(row), row

    def authenticate_header(self, request: Request | HttpRequest) -> str:
        """Return the value of `WWW-Authenticate`: the scheme."""
        return getattr(self, "_prefix", "Bearer")


class HasRight(BasePermission):
    """Checks the rights of the token of a request. A session has all rights.

    A view names them in `required_rights`, by action or method. What it does not name needs all rights.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True.

        Raises:
            RightMissing: the token lacks a right.
        """
        handler = request.method.lower() if request.method else ""
        name = getattr(view, "action", None) or ("get" if handler == "head" else handler)
        if hasattr(view, handler) and name not in {"options", "metadata"}:
            require_rights(request.user, getattr(view, "required_rights", {}).get(name, ALL_RIGHTS))
        return True


def require_rights(user: object, needed: Right | frozenset[Right]) -> None:
    """Check the rights of the token that a user has authenticated with.

    Raises:
        RightMissing: the token lacks one; the error names it.
    """
    rights = frozenset({needed}) if isinstance(needed, Right) else needed
    if (missing := missing_right(getattr(user, "token_limits", None), rights)) is not None:
        raise RightMissing(missing.value, needs_all=rights == ALL_RIGHTS)


def authenticated_user(request: Request) -> User:
    """Return the user of the request.

    Raises:
        NotAuthenticated: the request has no authentication.
    """
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def identify(request: HttpRequest, *, ticket: TicketText, opens: str, now: datetime) -> tuple[User, Credential]:
    """Return the user and the credential for a stream: from a token, else from a ticket, else from a session.

    The first credential present must be valid: an invalid ticket is rejected even if there is a valid session.
    `opens` is the stream's `ticket_target`.

    Raises:
        AuthenticationFailed: the token or the ticket is invalid. NotAuthenticated: there is no credential.
    """
    tokens = TokenAuthentication()
    try:
        if isinstance(found := tokens.authenticate(request), tuple):
            return _token_user(found[1])
        if ticket.text is not None:
            return _ticket_user(request, url_secrets.read(ticket.text, opens=opens, now=now), now)
        return _session_user(request, request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    except (AuthenticationFailed, NotAuthenticated) as error:
        error.auth_header = tokens.authenticate_header(request)  # type: ignore[union-attr]
        raise


def _token_user(token: Token) -> tuple[User, Credential]:
    return _bearer(token), Credential(user_id=token.user.pk, token=token.digest)


def _bearer(token: Token) -> User:
    """Return the token's user, with the limits of the token."""
    token.user.token_limits = TokenLimits(rights=frozenset(map(Right, token.rights)), root_id=token.scope_id)
    return token.user


def _session_user(request: HttpRequest, key: str | None) -> tuple[User, Credential]:
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    if not isinstance(user, User):
        raise NotAuthenticated
    return user, Credential(user_id=user.pk, session=key, password=user.password)


def _ticket_user(request: HttpRequest, ticket: url_secrets.Ticket, now: datetime) -> tuple[User, Credential]:
    """Return the user of the token or session that a ticket was issued with.

    Raises:
        BadTicket: the token or session is revoked, expired or ended, or the user is deactivated.
    """
    kind, _, name = ticket.made_with.partition(":")
    if kind == "token":
        if (token := selectors.find_token(name, user_id=ticket.user_id, now=now)) is None:
            raise BadTicket
        return _token_user(token)
    try:
        user, credential = _session_user(request, selectors.find_session_key(UUID(name)))
    except NotAuthenticated as error:
        raise BadTicket from error
    if user.pk != ticket.user_id:  # another user has logged in with this browser
        raise BadTicket
    return user, credential
