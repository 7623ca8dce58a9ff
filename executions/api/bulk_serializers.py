"""Serializers of bulk actions."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api.fields import ListedChoiceField, TimestampField
from common.api.serializers import StrictSerializer
from common.api.views import UUID_PATTERN
from common.limits import limits
from executions.api.serializers import values
from executions.engine.domain.states import ExecutionStatus, WaitingOn
from executions.services.bulk_actions import BulkAction


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
