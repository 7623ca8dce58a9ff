"""Endpoints of scopes. Each validates its request and calls one service or selector."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from access.authentication import authenticated_user
from access.permissions import Right
from common.api.serializers import StrictSerializer, checked, represent, represent_all
from common.api.views import ApiView, PagedViewSet, in_request_thread
from common.database.server import database_now
from executions.api.openapi import problems
from executions.api.scopes.serializers import (
    ChildFilters,
    ChildScopeResponse,
    RootScopeResponse,
    ScopeBudgetRequest,
    ScopeBudgetResponse,
    ScopeDetailsResponse,
    ScopeFilters,
    ScopeRetentionRequest,
    ScopeRetentionResponse,
)
from executions.api.step_serializers import PAGE
from executions.api.views import expected_versions
from executions.selectors import scopes
from executions.services.erasure.retention import change_scope_retention
from executions.services.scope_budgets import change_scope_budget

_TYPE = OpenApiParameter("scope_type", OpenApiTypes.STR, OpenApiParameter.PATH)
_KEY = OpenApiParameter("scope_id", OpenApiTypes.STR, OpenApiParameter.PATH)
_IF_MATCH = OpenApiParameter("If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER)


class ScopesView(PagedViewSet):
    """Root scopes."""

    required_rights = {"list": Right.READ}

    ordering = ("type", "key")  # unique among roots, and the order of the index

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_list",
        parameters=[ScopeFilters],
        responses={200: RootScopeResponse(many=True), **problems(401, 422)},
    )
    async def list(self, request: Request) -> Response:
        """List the root scopes that you may see, by type and key, with your role and counts."""
        select = partial(scopes.roots, user=request.user)
        prepare = partial(scopes.with_counts, user=request.user)
        return await self.page(request, select, RootScopeResponse, filters=ScopeFilters, prepare=prepare)


class ScopeView(PagedViewSet):
    """One root scope."""

    required_rights = {"retrieve": Right.READ}
    queried = frozenset({"retrieve"})

    ordering = ("type", "key")  # unique below one parent

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_retrieve",
        parameters=[_TYPE, _KEY, ChildFilters, *PAGE],
        responses={200: ScopeDetailsResponse, **problems(401, 404, 422)},
    )
    async def retrieve(self, request: Request, scope_type: str, scope_id: str) -> Response:
        """Get a root scope: counts, owners, the month's budget, and one page of the scopes below."""

        def read() -> Response:
            asked = checked(ChildFilters, request.query_params)
            found = scopes.scope_details(
                user=request.user, scope_type=scope_type, scope_key=scope_id, now=database_now()
            )
            below = scopes.children(found.summary.scope, parent=asked.get("parent"))
            page = self.paginator.paginate_queryset(below, request, view=self)
            return Response(
                {
                    **represent(RootScopeResponse, found.summary),
                    "owners": found.owners,
                    "budget": represent(ScopeBudgetResponse, found.budget),
                    "retention": represent(ScopeRetentionResponse, found.retention),
                    "children": represent_all(ChildScopeResponse, scopes.child_summaries(page)),
                    "next_cursor": self.paginator.next_cursor,
                }
            )

        return await in_request_thread(read)()


class ScopeBudgetView(ApiView):
    """The monthly budget of a root scope."""

    required_rights = {"put": Right.MANAGE}

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_budget_update",
        parameters=[_TYPE, _KEY, _IF_MATCH],
        request=ScopeBudgetRequest,
        responses={200: ScopeBudgetResponse, **problems(400, 401, 403, 404, 412, 413, 415, 422)},
    )
    async def put(self, request: Request, scope_type: str, scope_id: str) -> Response:
        """Set the monthly budget of a root scope, or remove it with null."""
        change = partial(change_scope_budget, scope_type=scope_type, scope_key=scope_id, now=database_now())
        return await _change(request, change, form=ScopeBudgetRequest, show=ScopeBudgetResponse)


class ScopeRetentionView(ApiView):
    """How long a root scope keeps executions."""

    required_rights = {"put": Right.MANAGE}

    @extend_schema(
        tags=["scopes"],
        operation_id="scopes_retention_update",
        parameters=[_TYPE, _KEY, _IF_MATCH],
        request=ScopeRetentionRequest,
        responses={200: ScopeRetentionResponse, **problems(400, 401, 403, 404, 412, 413, 415, 422)},
    )
    async def put(self, request: Request, scope_type: str, scope_id: str) -> Response:
        """Set how long a root scope keeps what was written in executions, or remove that with null."""
        change = partial(change_scope_retention, scope_type=scope_type, scope_key=scope_id)
        return await _change(request, change, form=ScopeRetentionRequest, show=ScopeRetentionResponse)


async def _change(
    request: Request, change: Callable[..., Any], *, form: type[StrictSerializer], show: type[Serializer[Any]]
) -> Response:
    """Change a setting of a scope by the body that `form` validates, and respond with it and its version, if any."""

    def act() -> Response:
        values: dict[str, Any] = checked(form, request.data)
        stored = change(user=authenticated_user(request), expected_versions=expected_versions(request), **values)
        headers = {} if stored.version is None else {"ETag": f'"{stored.version}"'}
        return Response(represent(show, stored), headers=headers)

    return await in_request_thread(act)()
