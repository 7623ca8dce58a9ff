"""Who asks: a token in the `Authorization` header."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


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

    def authenticate_header(self, request: Request | HttpRequest) -> str:
        """Return the scheme; also what `WWW-Authenticate` says."""
        return getattr(self, "_prefix", "Bearer")

    def user_of(self, request: HttpRequest) -> User | None:
        """Return the user of the header's token, None when the header is not ours.

        Raises:
            AuthenticationFailed: the token is unknown, expired or malformed.
        """
        found = self.authenticate(request)
        return found[0] if isinstance(found, tuple) else None
