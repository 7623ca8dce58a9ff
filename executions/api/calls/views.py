"""Endpoints of calls to models, for users who may see the execution."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.openapi import IF_NONE_MATCH, NOT_MODIFIED
from access.permissions import Right
from common.api.serializers import represent
from common.api.views import PagedViewSet
from executions.api.calls.serializers import CallDetails, CallDetailsResponse, CallFilters, CallResponse
from executions.api.openapi import problems
from executions.engine.domain.calls import CallKey
from executions.engine.domain.states import CallKind
from executions.selectors import calls
from executions.services.prompts import get_call, proven_prompts

_ID = OpenApiParameter("execution_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_CALL = OpenApiParameter("call_id", OpenApiTypes.UUID, OpenApiParameter.PATH)


class CallViewSet(PagedViewSet):
    """Calls to models."""

    required_rights = {"list": Right.READ, "retrieve": Right.READ}
    on_loop = frozenset({"list", "retrieve"})  # prompts are built as a worker does it

    serializer_class = CallResponse

    @extend_schema(
        tags=["executions"],
        operation_id="executions_calls_list",
        parameters=[_ID, CallFilters],
        responses={200: CallResponse(many=True), **problems(401, 404, 422)},
    )
    async def list(self, request: Request, execution_id: str) -> Response:
        """List the calls to models of an execution, oldest first."""
        asked: dict[str, Any] = {"user": request.user, "execution_id": UUID(execution_id)}
        select = partial(calls.calls, **asked)
        page = await self.page(request, select, CallResponse, filters=CallFilters, ordering=("started_at", "id"))
        rows = {_key(UUID(execution_id), each): each for each in page.data["data"]}
        for key, is_exact in (await proven_prompts(**asked, keys=[*rows])).items():
            rows[key]["prompt_exact"] = is_exact
        return page

    @extend_schema(
        tags=["executions"],
        operation_id="executions_calls_retrieve",
        parameters=[_ID, _CALL, IF_NONE_MATCH],
        responses={200: CallDetailsResponse, **NOT_MODIFIED, **problems(400, 401, 404)},
    )
    async def retrieve(self, request: Request, execution_id: str, call_id: str) -> Response:
        """Get a call: its prompt, its reply, and what was found wrong in it."""
        shown = await get_call(user=request.user, execution_id=UUID(execution_id), call_id=UUID(call_id))
        return Response(represent(CallDetails, shown), headers={"ETag": f'"{shown.row.version}"'})


def _key(execution_id: UUID, row: Any) -> CallKey:
    """Return the key of a row of the list."""
    return CallKey(
        execution_id=execution_id,
        step_id=row["step_id"],
        attempt=row["attempt"],
        kind=CallKind(row["kind"]),
        ordinal=row["ordinal"],
    )
