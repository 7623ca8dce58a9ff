"""Endpoint for bulk actions."""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access.authentication import authenticated_user
from access.idempotency import run_once
from access.permissions import Right
from common.api.serializers import ListedChoiceField, StrictSerializer, TimestampField, checked, represent
from common.api.views import UUID_PATTERN, ApiView, in_request_thread
from common.database.server import database_now
from common.limits import limits
from executions.api.openapi import RUNS_ONCE, problems
from executions.api.serializers import values
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus, WaitingOn
from executions.services import bulk_actions
from executions.services.bulk_actions import BulkAction, Outcome


class ExecutionIdField(serializers.UUIDField):
    """The id of an execution, in the same form as in its path."""

    def to_internal_value(self, data: Any) -> UUID:
        """Return the id.

        Raises:
            ValidationError: the value is not an id, or has another form.
        """
        if not isinstance(data, str) or not re.fullmatch(UUID_PATTERN, data):
            self.fail("invalid", value=data)
        return UUID(data)


class ExecutionIdsField(serializers.ListField):
    """Ids of executions."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=ExecutionIdField(), allow_empty=False, max_length=limits().bulk_executions, **options)

    def to_internal_value(self, data: Any) -> list[UUID]:
        """Return the ids.

        Raises:
            ValidationError: there are too many ids, or some are invalid.
        """
        if isinstance(data, list) and len(data) > limits().bulk_executions:
            detail = f"Ensure this field has no more than {limits().bulk_executions} elements."
            raise serializers.ValidationError(detail, code="max_length")
        ids: list[UUID] = super().to_internal_value(data)
        return ids


class BulkRequest(StrictSerializer):
    """A bulk action and its executions."""

    action = ListedChoiceField(choices=values(BulkAction))
    ids = ExecutionIdsField(help_text="Repeated ids count once.")


class BulkExecutionResponse(serializers.Serializer[Any]):
    """The state of an execution after the action."""

    status = serializers.ChoiceField(choices=values(ExecutionStatus))
    waiting_on = serializers.ListField(child=serializers.ChoiceField(choices=values(WaitingOn)))
    version = serializers.IntegerField(help_text="The ETag begins with it.")
    updated_at = TimestampField()


@extend_schema_field({"anyOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]})
class ProblemField(serializers.DictField):
    """A problem, as the response to a single request would contain it."""


class BulkOutcomeResponse(serializers.Serializer[Any]):
    """The outcome for one execution: its new state, or a problem."""

    execution_id = serializers.UUIDField()
    execution = BulkExecutionResponse(allow_null=True, help_text="null: the action failed.")
    problem = ProblemField(
        allow_null=True, help_text="The problem of a single request for this execution; null: the action succeeded."
    )


class BulkResponse(serializers.Serializer[Any]):
    """The outcomes of a bulk action."""

    data = BulkOutcomeResponse(many=True, help_text="In the order of `ids`.")  # type: ignore[assignment]


class BulkView(ApiView):
    """Bulk actions on executions."""

    required_rights = {"post": Right.OPERATE}

    @extend_schema(
        tags=["executions"],
        operation_id="executions_bulk",
        parameters=RUNS_ONCE,
        request=BulkRequest,
        responses={200: BulkResponse, **problems(400, 401, 403, 404, 409, 410, 413, 415, 422)},
    )
    async def post(self, request: Request) -> Response:
        """Cancel or retry many executions. Each has its own outcome; a failure does not affect the others."""

        def answer() -> Response:
            said = checked(BulkRequest, request.data)
            action, ids = BulkAction(said["action"]), said["ids"]
            return run_once(request, partial(self._act, action, ids), recheck=self._recheck)

        return await in_request_thread(answer)()

    def _act(self, action: BulkAction, ids: list[UUID]) -> Response:
        user = authenticated_user(self.request)
        found = bulk_actions.act_on_many(user=user, action=action, execution_ids=ids, now=database_now())
        told = {each: self._told(action, each, outcome) for each, outcome in found.items()}
        return Response(represent(BulkResponse, {"data": [told[each] for each in ids]}))

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
