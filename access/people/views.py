"""Endpoints of roles and invitations. Each validates its request and calls one service or selector."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.authentication import authenticated_user
from access.idempotency import run_once
from access.openapi import RUNS_ONCE, problem_responses
from access.people import invitations, roles
from access.people.serializers import (
    AcceptedInvitationResponse,
    AcceptInvitationRequest,
    InvitationRequest,
    InvitationResponse,
    NewInvitationResponse,
    RoleRequest,
    RoleResponse,
)
from access.permissions import ALL_RIGHTS, Action, Right
from access.selectors import root_scope, scope_for
from common.api.serializers import checked, represent
from common.api.views import ApiView, PagedViewSet, in_request_thread
from common.database.server import database_now
from common.errors import NotFound

_TYPE = OpenApiParameter("scope_type", OpenApiTypes.STR, OpenApiParameter.PATH)
_KEY = OpenApiParameter("scope_id", OpenApiTypes.STR, OpenApiParameter.PATH)
_USERNAME = OpenApiParameter("username", OpenApiTypes.STR, OpenApiParameter.PATH)
_INVITATION = OpenApiParameter("invitation_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_NOT_OWNER = "Your role does not permit this."


class RolesView(PagedViewSet):
    """The roles in a root scope."""

    required_rights = {"list": Right.READ}

    ordering = ("id",)

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_roles_list",
        parameters=[_TYPE, _KEY],
        responses={200: RoleResponse(many=True), **problem_responses({403: _NOT_OWNER})},
    )
    async def list(self, request: Request, scope_type: str, scope_id: str) -> Response:
        """List the users who have a role in a root scope, in the order in which they got it."""
        select = partial(roles.roles, user=request.user, scope_type=scope_type, scope_key=scope_id)
        return await self.page(request, select, RoleResponse)


class RoleView(ApiView):
    """One user's role in a root scope."""

    required_rights = {"put": Right.MANAGE, "delete": Right.MANAGE}

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_roles_update",
        parameters=[_TYPE, _KEY, _USERNAME],
        request=RoleRequest,
        responses={
            200: RoleResponse,
            201: RoleResponse,
            **problem_responses({403: _NOT_OWNER, 409: "The user is the last owner."}),
        },
    )
    async def put(self, request: Request, *, scope_type: str, scope_id: str, username: str) -> Response:
        """Give a user a role, in place of the present one. 201: the user had none."""

        def give() -> Response:
            values = checked(RoleRequest, request.data)
            given = roles.give_role(
                user=authenticated_user(request), scope_type=scope_type, scope_key=scope_id, username=username, **values
            )
            return Response(represent(RoleResponse, given.row), status=201 if given.is_new else 200)

        return await in_request_thread(give)()

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_roles_destroy",
        parameters=[_TYPE, _KEY, _USERNAME],
        request=None,
        responses={204: None, **problem_responses({403: _NOT_OWNER, 409: "The user is the last owner."})},
    )
    async def delete(self, request: Request, *, scope_type: str, scope_id: str, username: str) -> Response:
        """Take a user's role away. Open streams of the user end within seconds."""
        await in_request_thread(roles.take_role)(
            user=authenticated_user(request), scope_type=scope_type, scope_key=scope_id, username=username
        )
        return Response(status=204)


class InvitationsView(PagedViewSet):
    """The invitations into a root scope."""

    required_rights = {"list": Right.READ, "create": Right.MANAGE}

    ordering = ("-id",)

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_invitations_list",
        parameters=[_TYPE, _KEY],
        responses={200: InvitationResponse(many=True), **problem_responses({403: _NOT_OWNER})},
    )
    async def list(self, request: Request, scope_type: str, scope_id: str) -> Response:
        """List the invitations into a root scope, newest first, without their links."""
        select = partial(invitations.invitations, user=request.user, scope_type=scope_type, scope_key=scope_id)
        prepare = partial(invitations.details, now=database_now())
        return await self.page(request, select, InvitationResponse, prepare=prepare)

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_invitations_create",
        parameters=[_TYPE, _KEY, *RUNS_ONCE],
        request=InvitationRequest,
        responses={
            201: NewInvitationResponse,
            **problem_responses(
                {
                    403: _NOT_OWNER,
                    409: "The scope has too many open invitations, or a request with this key was answered already.",
                }
            ),
        },
    )
    async def create(self, request: Request, scope_type: str, scope_id: str) -> Response:
        """Invite a person into a root scope. The link is only in this answer, and works once within seven days."""

        def answer() -> Response:
            values = checked(InvitationRequest, request.data)
            place: dict[str, Any] = {"scope_type": scope_type, "scope_key": scope_id}

            def invite() -> Response:
                row, token = invitations.invite(user=authenticated_user(request), now=database_now(), **place, **values)
                url = request.build_absolute_uri(reverse("console:invitation-link", kwargs={"token": token}))
                made = {"id": row.id, "role": row.role, "expires_at": row.expires_at, "url": url}
                return Response(represent(NewInvitationResponse, made), status=201)

            recheck = partial(_require_inviter, request, place)
            return run_once(request, invite, recheck=recheck, is_secret=True)

        return await in_request_thread(answer)()


def _require_inviter(request: Request, place: dict[str, Any], _: object) -> None:
    """Check that the user may still invite people into the scope.

    Raises:
        NotFound, Forbidden: the user may not.
    """
    scope_for(request.user, Action.INVITE, **place)


class InvitationView(ApiView):
    """One invitation."""

    required_rights = {"delete": Right.MANAGE}

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_invitations_destroy",
        parameters=[_TYPE, _KEY, _INVITATION],
        request=None,
        responses={204: None, **problem_responses({403: _NOT_OWNER, 410: "The invitation has been used."})},
    )
    async def delete(self, request: Request, *, scope_type: str, scope_id: str, invitation_id: str) -> Response:
        """Withdraw an invitation. Repeating it is fine."""
        await in_request_thread(invitations.withdraw)(
            user=authenticated_user(request),
            scope_type=scope_type,
            scope_key=scope_id,
            invitation_id=UUID(invitation_id),
            now=database_now(),
        )
        return Response(status=204)


class AcceptInvitationView(ApiView):
    """Acceptance of invitations."""

    required_rights = {"post": ALL_RIGHTS}

    @extend_schema(
        tags=["invitations"],
        operation_id="invitations_accept",
        parameters=RUNS_ONCE,
        request=AcceptInvitationRequest,
        responses={
            200: AcceptedInvitationResponse,
            **problem_responses(
                {
                    403: "The invitation is for another address.",
                    404: "There is no such invitation.",
                    409: "A request with this idempotency key is in progress.",
                    410: "The invitation was used, withdrawn or has expired.",
                }
            ),
        },
    )
    async def post(self, request: Request) -> Response:
        """Accept an invitation. You get its role, unless your present role includes it."""

        def accept(token: str) -> Response:
            accepted = invitations.accept(user=authenticated_user(request), token=token, now=database_now())
            return Response(represent(AcceptedInvitationResponse, accepted))

        def answer() -> Response:
            values = checked(AcceptInvitationRequest, request.data)
            return run_once(request, partial(accept, **values), recheck=partial(_require_role, request))

        return await in_request_thread(answer)()


def _require_role(request: Request, accepted: Any) -> None:
    """Check that the user still has a role in the scope of an accepted invitation."""
    if root_scope(request.user, scope_type=accepted["scope_type"], scope_key=accepted["scope_id"]) is None:
        raise NotFound("There is no such invitation.")
