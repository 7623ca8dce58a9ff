"""Tokens over HTTP."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.contrib.auth import aauthenticate
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from access import services
from access.errors import BadCredentials, Forbidden
from access.serializers import TokenRequest, TokenResponse
from access.user import User
from common.api.base_views import ApiView
from common.api.serializers import checked


class TokenView(ApiView):
    """Get a token, and give it back."""

    def get_authenticators(self) -> list[object]:
        """Asking for a token needs none: a stale one in the header must not stand in the way."""
        request = self.request  # None while the OpenAPI document is made
        is_asking = request is not None and request.method == "POST"
        return [] if is_asking else super().get_authenticators()

    def get_authenticate_header(self, request: Request) -> str:
        """Return what `WWW-Authenticate` says, also where nobody is authenticated: without it a 401 becomes a 403."""
        return "Bearer"

    def get_permissions(self) -> list[object]:
        """Everybody may ask; only who has one may give it back."""
        return [AllowAny()] if self.request.method == "POST" else [IsAuthenticated()]

    @extend_schema(request=TokenRequest, responses={201: TokenResponse}, tags=["auth"], auth=[])
    async def post(self, request: Request) -> Response:
        """Get a token for a user's name and password. It is shown once."""
        values = await sync_to_async(checked)(TokenRequest, request.data)
        user = await aauthenticate(request._request, **values)  # noqa: SLF001
        if not isinstance(user, User):
            raise BadCredentials
        row, token = await sync_to_async(services.issue_token)(user)
        return Response(TokenResponse({"token": token, "expires_at": row.expiry}).data, status=201)

    @extend_schema(request=None, responses={204: None}, tags=["auth"])
    async def delete(self, request: Request) -> Response:
        """Revoke the token that this request carries."""
        if not isinstance(request.auth, AuthToken):
            raise Forbidden("This request carries no token that could be revoked.")
        await sync_to_async(services.revoke_token)(request.auth)
        return Response(status=204)
