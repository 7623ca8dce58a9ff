"""Endpoint of tokens."""

from __future__ import annotations

from django.contrib.auth import aauthenticate
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from access import services
from access.errors import BadCredentials
from access.permissions import NO_RIGHT
from access.selectors import Token
from access.serializers import TokenRequest, TokenResponse
from access.user import User
from common.api.serializers import checked, represent
from common.api.views import ApiView, in_request_thread
from common.errors import Forbidden


class TokenView(ApiView):
    """Create a token, or revoke it."""

    required_rights = {"post": NO_RIGHT, "delete": NO_RIGHT}
    on_loop = frozenset({"post"})  # passwords are hashed in threads of their own

    def get_authenticators(self) -> list[object]:
        """Return none for POST, so that an expired token in the header does not prevent a login."""
        request = self.request  # None while the OpenAPI document is generated
        is_login = request is not None and request.method == "POST"
        return [] if is_login else super().get_authenticators()

    def get_authenticate_header(self, request: Request) -> str:
        """Return the value of `WWW-Authenticate`; without it Django REST framework turns a 401 into a 403."""
        return "Bearer"

    def get_permissions(self) -> list[object]:
        """Allow POST to everyone, and other methods to authenticated callers."""
        return [AllowAny()] if self.request.method == "POST" else [IsAuthenticated()]

    @extend_schema(request=TokenRequest, responses={201: TokenResponse}, tags=["auth"], auth=[])
    async def post(self, request: Request) -> Response:
        """Create a token for a user's name and password. It is shown only once."""
        values = await in_request_thread(checked)(TokenRequest, request.data)
        user = await aauthenticate(request._request, **values)  # noqa: SLF001
        if not isinstance(user, User):
            raise BadCredentials
        row, token = await in_request_thread(services.issue_token)(user)
        return Response(represent(TokenResponse, {"token": token, "expires_at": row.expiry}), status=201)

    @extend_schema(request=None, responses={204: None}, tags=["auth"])
    async def delete(self, request: Request) -> Response:
        """Revoke the token of this request."""
        if not isinstance(request.auth, Token):
            raise Forbidden("This request has no token to revoke.")
        await in_request_thread(services.revoke_token)(request.auth)
        return Response(status=204)
