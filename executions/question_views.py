"""The inbox over HTTP."""

from __future__ import annotations

from functools import partial

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.pages import PagedViewSet
from executions import open_questions
from executions.problem_docs import problems
from executions.question_serializers import InboxFilters, OpenClarificationResponse


@extend_schema(tags=["executions"])
class ClarificationViewSet(PagedViewSet):
    """What people are asked."""

    ordering = ("asked_at", "id")

    @extend_schema(
        parameters=[InboxFilters], responses={200: OpenClarificationResponse(many=True), **problems(401, 422)}
    )
    async def list(self, request: Request) -> Response:
        """List the steps that wait for answers, over all executions that you may see; who waits longest comes first."""
        select = partial(open_questions.open_clarifications, user=request.user)
        return await self.page(
            request, select, OpenClarificationResponse, filters=InboxFilters, prepare=open_questions.described
        )
