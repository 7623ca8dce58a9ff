"""Endpoints of the inbox: the list, dismissing, assigning, and accepting many documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access.authentication import authenticated_user
from access.idempotency import run_once
from access.permissions import Right, Role
from access.user import User
from common.api.pagination import KeysetPagination
from common.api.serializers import COUNT_SCHEMA, checked, represent, represent_all
from common.api.views import UUID_PATTERN, ApiView, PagedViewSet, in_request_thread
from common.database.server import database_now
from executions.api.inbox_serializers import (
    AssignRequest,
    DismissedResponse,
    InboxCounts,
    InboxEntryResponse,
    InboxFilters,
    StepsBulkRequest,
    StepsBulkResponse,
)
from executions.api.openapi import RUNS_ONCE, problems
from executions.api.serializers import EmptyRequest, ExecutionResponse
from executions.api.views import EXECUTION_ID, IF_MATCH, STEP_ID, run_command
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import InboxKind
from executions.selectors import inbox as selectors
from executions.services import inbox as services
from executions.services.inbox import Assignment, Outcome, WaitingVersion

_ENTRY = OpenApiParameter("entry_id", OpenApiTypes.UUID, OpenApiParameter.PATH)


class InboxPagination(KeysetPagination):
    """Pages of the inbox, with counts by kind of all pages."""

    counts: Mapping[InboxKind, int]

    def get_paginated_response(self, data: Any) -> Response:
        """Return the response that holds the page and the counts."""
        response = super().get_paginated_response(data)
        response.data["counts"] = represent(InboxCounts, self.counts)
        return response

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the page's JSON Schema."""
        page = super().get_paginated_response_schema(schema)
        counts = {
            "type": "object",
            "description": "By kind, of all pages, for the same filters. Above 100 a count is `100+`.",
            "required": [each.value for each in InboxKind],
            "additionalProperties": False,
            "properties": {each.value: COUNT_SCHEMA for each in InboxKind},
        }
        return {
            **page,
            "required": [*page["required"], "counts"],
            "properties": {**page["properties"], "counts": counts},
        }


@extend_schema(tags=["inbox"])
class InboxViewSet(PagedViewSet):
    """What waits for people."""

    required_rights = {"list": Right.READ, "dismiss": Right.OPERATE}
    pagination_class = InboxPagination

    serializer_class = InboxEntryResponse
    lookup_url_kwarg = "entry_id"
    lookup_value_regex = UUID_PATTERN
    ordering = selectors.ORDER

    @extend_schema(parameters=[InboxFilters], responses={200: InboxEntryResponse(many=True), **problems(401, 422)})
    async def list(self, request: Request) -> Response:
        """List what you may act on, longest waiting first, with counts by kind."""

        def read() -> Response:
            wanted = checked(InboxFilters, request.query_params)
            now = database_now()
            within = selectors.reach(request.user, now)  # the list and its counts share it
            asked = {"user": request.user, "now": now, "within": within, **wanted}
            rows = selectors.with_executions(selectors.entries(**asked))
            page = self.paginator.paginate_queryset(rows, request, view=self)
            shown = represent_all(InboxEntryResponse, selectors.with_subjects(page))
            self.paginator.counts = selectors.counts(**asked)
            response: Response = self.paginator.get_paginated_response(shown)
            return response

        return await in_request_thread(read)()

    @extend_schema(  # type: ignore[type-var]
        parameters=[_ENTRY, *RUNS_ONCE],
        request=None,
        responses={200: DismissedResponse, **problems(400, 401, 403, 404, 409, 410, 413, 415, 422)},
    )
    @action(detail=True, methods=["post"])
    async def dismiss(self, request: Request, entry_id: str) -> Response:
        """Remove a failure from the inbox of all users of its scope. A retry removes it, too, and so do 14 days."""

        def act() -> Response:
            user = authenticated_user(request)
            return Response(represent(DismissedResponse, services.dismiss(user=user, entry_id=UUID(entry_id))))

        def recheck(answer: Any) -> None:
            services.require_operator(authenticated_user(request), UUID(answer["execution_id"]))

        def answer() -> Response:
            checked(EmptyRequest, request.data)
            return run_once(request, act, recheck=recheck)

        return await in_request_thread(answer)()


class StepAssignmentView(ApiView):
    """Assignment of steps that wait for people."""

    required_rights = {"post": Right.OPERATE}

    @extend_schema(
        tags=["inbox"],
        operation_id="executions_steps_assign_create",
        parameters=[EXECUTION_ID, STEP_ID, IF_MATCH, *RUNS_ONCE],
        request=AssignRequest,
        responses={200: ExecutionResponse, **problems(400, 401, 403, 404, 409, 410, 412, 413, 415, 422)},
    )
    async def post(self, request: Request, execution_id: str, step_id: str) -> Response:
        """Say who answers a step's questions or decides about its document, and until when."""
        return await run_command(
            _assign, request, execution_id, form=AssignRequest, need=Role.OPERATOR, step_id=step_id
        )


def _assign(
    *,
    user: User,
    execution_id: UUID,
    now: datetime,
    expected_versions: frozenset[int] | None,
    step_id: str,
    **said: Any,
) -> Execution:
    wanted = Assignment(assignees=said["assignees"], sets_due="due_at" in said, due_at=said.get("due_at"))
    return services.assign_step(
        user=user,
        execution_id=execution_id,
        step_id=step_id,
        said=wanted,
        now=now,
        expected_versions=expected_versions,
    )


class StepsBulkView(ApiView):
    """Bulk actions on steps."""

    required_rights = {"post": Right.ANSWER}

    @extend_schema(
        tags=["inbox"],
        operation_id="steps_bulk",
        parameters=RUNS_ONCE,
        request=StepsBulkRequest,
        responses={200: StepsBulkResponse, **problems(400, 401, 403, 404, 409, 410, 413, 415, 422)},
    )
    async def post(self, request: Request) -> Response:
        """Accept many waiting documents. Each has its own outcome; a failure does not affect the others."""

        def answer() -> Response:
            items = [WaitingVersion(**each) for each in checked(StepsBulkRequest, request.data)["items"]]
            return run_once(request, partial(self._act, items), recheck=self._recheck)

        return await in_request_thread(answer)()

    def _act(self, items: list[WaitingVersion]) -> Response:
        user = authenticated_user(self.request)
        found = services.accept_many(user=user, items=items, now=database_now())
        told = [self._told(item, outcome) for item, outcome in zip(items, found, strict=True)]
        return Response(represent(StepsBulkResponse, {"data": told}))

    def _told(self, item: WaitingVersion, outcome: Outcome) -> dict[str, Any]:
        about = {"execution_id": item.execution_id, "step_id": item.step_id}
        if isinstance(outcome, Execution):
            return {**about, "execution": outcome, "problem": None}
        response = self.get_exception_handler()(outcome, self.get_exception_handler_context())
        path = f"/api/v1/executions/{item.execution_id}/steps/{quote(item.step_id, safe='@')}/acceptance"
        return {**about, "execution": None, "problem": {**response.data, "instance": path}}

    def _recheck(self, answer: Any) -> None:
        done = {UUID(each["execution_id"]) for each in answer["data"] if each["execution"] is not None}
        services.require_decisions(authenticated_user(self.request), done)
