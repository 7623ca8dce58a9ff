"""Endpoints of a user's own account. Tokens, sessions and passwords need a session, or a token of all rights."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth import aauthenticate, update_session_auth_hash
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.account import selectors, services
from access.account.serializers import (
    AccountResponse,
    NewTokenRequest,
    NewTokenResponse,
    OwnSessionResponse,
    OwnTokenResponse,
    PasswordRequest,
    ProfileRequest,
)
from access.authentication import authenticated_user
from access.idempotency import run_once
from access.openapi import RUNS_ONCE
from access.permissions import ALL_RIGHTS, NO_RIGHT
from access.selectors import Token
from access.user import User
from common.api.serializers import checked, represent
from common.api.views import UUID_PATTERN, ApiView, PagedViewSet, in_request_thread
from common.database.server import database_now
from common.errors import FieldError, Invalid

_TOKEN = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of a token.")
_SESSION = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of a session.")
_WRONG_PASSWORD = FieldError(pointer="/old_password", code="wrong-password", detail="This is not your password.")


class AccountView(ApiView):
    """The account of the caller."""

    required_rights = {"get": NO_RIGHT, "patch": ALL_RIGHTS}

    @extend_schema(operation_id="me_retrieve", responses=AccountResponse, tags=["account"])
    async def get(self, request: Request) -> Response:
        """Get your account: name, language, time zone, the rights of this token, and your roles if it may read."""
        return await in_request_thread(self._account)(authenticated_user(request))

    @extend_schema(operation_id="me_update", request=ProfileRequest, responses=AccountResponse, tags=["account"])
    async def patch(self, request: Request) -> Response:
        """Change your name, language or time zone."""

        def change() -> Response:
            values = checked(ProfileRequest, request.data)
            return self._account(services.change_profile(user=authenticated_user(request), **values))

        return await in_request_thread(change)()

    def _account(self, user: User) -> Response:
        return Response(represent(AccountResponse, selectors.account(user)))


class PasswordView(ApiView):
    """The password of the caller."""

    on_loop = frozenset({"post"})  # passwords are hashed in threads of their own

    required_rights = {"post": ALL_RIGHTS}

    @extend_schema(operation_id="me_password", request=PasswordRequest, responses={204: None}, tags=["account"])
    async def post(self, request: Request) -> Response:
        """Change your password. Your tokens and your other sessions end."""
        values = await in_request_thread(checked)(PasswordRequest, request.data)
        await in_request_thread(services.check_new_password)(
            user=authenticated_user(request), password=values["new_password"]
        )
        credentials = {"username": authenticated_user(request).get_username(), "password": values["old_password"]}
        user = await aauthenticate(request._request, **credentials)  # noqa: SLF001
        if not isinstance(user, User):
            raise Invalid(errors=[_WRONG_PASSWORD])
        await in_request_thread(self._change)(request, user, values["new_password"])
        return Response(status=204)

    def _change(self, request: Request, user: User, password: str) -> None:
        key = None if request.auth is not None else request.session.session_key
        services.change_password(user=user, password=password, session_key=key)
        if key is not None:
            update_session_auth_hash(request._request, user)  # noqa: SLF001


class OwnTokenViewSet(PagedViewSet):
    """Tokens of the caller."""

    required_rights = {"list": ALL_RIGHTS, "create": ALL_RIGHTS, "destroy": ALL_RIGHTS}
    serializer_class = OwnTokenResponse
    lookup_value_regex = UUID_PATTERN
    ordering = ("-id",)

    @extend_schema(operation_id="me_tokens_list", responses=OwnTokenResponse(many=True), tags=["account"])
    async def list(self, request: Request) -> Response:
        """List your tokens, newest first, with their last use."""
        select = partial(selectors.own_tokens, authenticated_user(request), now=database_now())
        return await self.page(request, select, OwnTokenResponse)

    @extend_schema(
        operation_id="me_tokens_create",
        parameters=RUNS_ONCE,
        request=NewTokenRequest,
        responses={201: NewTokenResponse},
        tags=["account"],
    )
    async def create(self, request: Request) -> Response:
        """Create a token with some of your rights, if you like for one scope. It is shown only once."""

        def make(values: dict[str, Any]) -> Response:
            latest = request.auth.expiry if isinstance(request.auth, Token) else None
            row, text = services.make_token(
                user=authenticated_user(request), now=database_now(), latest=latest, **values
            )
            row.token = text  # type: ignore[attr-defined]
            return Response(represent(NewTokenResponse, row), status=201)

        def answer() -> Response:
            values = checked(NewTokenRequest, request.data)
            return run_once(request, partial(make, values), recheck=lambda _: None, is_secret=True)

        return await in_request_thread(answer)()

    @extend_schema(operation_id="me_tokens_destroy", parameters=[_TOKEN], responses={204: None}, tags=["account"])
    async def destroy(self, request: Request, pk: str) -> Response:
        """Revoke one of your tokens."""
        revoke = in_request_thread(services.revoke_own_token)
        await revoke(user=authenticated_user(request), token_id=UUID(pk), now=database_now())
        return Response(status=204)


class OwnSessionViewSet(PagedViewSet):
    """Sessions of the caller."""

    required_rights = {"list": ALL_RIGHTS, "destroy": ALL_RIGHTS}
    serializer_class = OwnSessionResponse
    lookup_value_regex = UUID_PATTERN
    ordering = ("-id",)

    @extend_schema(operation_id="me_sessions_list", responses=OwnSessionResponse(many=True), tags=["account"])
    async def list(self, request: Request) -> Response:
        """List your sessions, the logins of browsers, newest first."""
        key = request.session.session_key

        def mark(rows: Any) -> Any:
            for row in rows:
                row.current = row.session_id == key
            return rows

        select = partial(selectors.own_sessions, authenticated_user(request), now=database_now())
        return await self.page(request, select, OwnSessionResponse, prepare=mark)

    @extend_schema(operation_id="me_sessions_destroy", parameters=[_SESSION], responses={204: None}, tags=["account"])
    async def destroy(self, request: Request, pk: str) -> Response:
        """End one of your sessions. Its streams end, and its tickets become invalid."""
        end = in_request_thread(services.end_own_session)
        await end(user=authenticated_user(request), session_id=UUID(pk), now=database_now())
        return Response(status=204)
