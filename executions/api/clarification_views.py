"""Endpoint for the inbox."""

from __future__ import annotations

from functools import partial

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.permissions import Right
from common.api.views import PagedViewSet
from executions.api.clarification_serializers import InboxFilters, OpenClarificationResponse
from executions.api.openapi import problems
from executions.selectors import clarifications


@extend_schema(tags=["executions"])
class ClarificationViewSet(PagedViewSet):
    """Open questions to people."""

    required_rights = {"list": Right.READ}

    ordering = ("asked_at", "id")

    @extend_schema(
        parameters=[InboxFilters], responses={200: OpenClarificationResponse(many=True), **problems(401, 422)}
    )
    async def list(self, request: Request) -> Response:
        """List the steps with open questions in all executions that you may see, longest waiting first."""
        select = partial(clarifications.open_clarifications, user=request.user)
        return await self.page(
            request, select, OpenClarificationResponse, filters=InboxFilters, prepare=clarifications.with_questions
        )
