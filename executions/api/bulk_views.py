"""Endpoint for bulk actions."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.idempotency import run_once
from common.api.serializers import checked
from common.api.views import ApiView
from common.database.server import database_now
from executions.api.bulk_serializers import BulkRequest, BulkResponse
from executions.api.openapi import IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, problems
from executions.api.views import authenticated_user
from executions.engine.domain.execution import Execution
from executions.services import bulk_actions
from executions.services.bulk_actions import BulkAction, Outcome


class BulkView(ApiView):
    """Bulk actions on executions."""

    @extend_schema(
        tags=["executions"],
        operation_id="executions_bulk",
        parameters=[IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED],
        request=BulkRequest,
        responses={200: BulkResponse, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
    )
    async def post(self, request: Request) -> Response:
        """Cancel or retry many executions. Each has its own outcome; a failure does not affect the others."""

        def answer() -> Response:
            said = checked(BulkRequest, request.data)
            action, ids = BulkAction(said["action"]), said["ids"]
            return run_once(request, partial(self._act, action, ids), recheck=self._recheck)

        return await sync_to_async(answer)()

    def _act(self, action: BulkAction, ids: list[UUID]) -> Response:
        user = authenticated_user(self.request)
        found = bulk_actions.act_on_many(user=user, action=action, execution_ids=ids, now=database_now())
        told = {each: self._told(action, each, outcome) for each, outcome in found.items()}
        return Response(BulkResponse({"data": [told[each] for each in ids]}).data)

    def _told(self, action: BulkAction, execution_id: UUID, outcome: Outcome) -> dict[str, Any]:
        if isinstance(outcome, Execution):
            return {"execution_id": execution_id, "execution": outcome, "problem": None}
        response = self.get_exception_handler()(outcome, self.get_exception_handler_context())
        path = reverse(f"execution-{action.value}", kwargs={"execution_id": execution_id})
        problem = {**response.data, "instance": path}
        return {"execution_id": execution_id, "execution": None, "problem": problem}

    def _recheck(self, answer: Any) -> None:
        done = [UUID(each["execution_id"]) for each in answer["data"] if each["execution"] is not None]
        bulk_actions.require_all(authenticated_user(self.request), done)
