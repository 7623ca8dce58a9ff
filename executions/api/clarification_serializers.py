"""Serializers of questions and answers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api.serializers import StrictSerializer, TimestampField, represent
from common.names import NameField
from executions.api.fields import AnswersField
from executions.api.serializers import values
from executions.engine.domain.clarification import AnswerType
from executions.engine.domain.execution import keys_of
from executions.selectors.clarifications import OpenClarification
from workflows.definitions.definition import OnDeadline


@extend_schema_field({"type": ["number", "null"]})
class BoundField(serializers.Field):
    """A number in a response, unchanged."""

    def to_representation(self, value: float) -> float:
        """Return the value unchanged."""
        return value


@extend_schema_field({"type": ["string", "number", "boolean", "array", "null"], "items": {"type": "string"}})
class AnswerField(serializers.Field):
    """An answer in a response: a text, a number, a boolean, or the values of choices."""

    def to_representation(self, value: object) -> object:
        """Return the value unchanged."""
        return value


class ChoiceResponse(serializers.Serializer[Any]):
    """One of the answers that a question offers."""

    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]


class QuestionResponse(serializers.Serializer[Any]):
    """A question to a person with its bounds. A bound is null if it is not set or does not apply to the answer type."""

    id = serializers.CharField()
    text = serializers.CharField()
    answer_type = serializers.ChoiceField(choices=values(AnswerType))
    required = serializers.BooleanField()  # type: ignore[assignment]
    choices = ChoiceResponse(many=True)
    default = AnswerField(help_text="The answer that is assumed without one.")
    why = serializers.CharField(help_text="What depends on the answer.")
    minimum = BoundField(help_text="Minimum of a number.")
    maximum = BoundField(help_text="Maximum of a number.")
    integer = serializers.BooleanField(help_text="Only whole numbers are valid.")
    earliest = serializers.DateField(allow_null=True, help_text="First valid date.")
    latest = serializers.DateField(allow_null=True, help_text="Last valid date.")
    min_length = serializers.IntegerField(allow_null=True, help_text="Minimum number of characters of a free text.")
    max_length = serializers.IntegerField(
        allow_null=True, help_text="Maximum number of characters of a free text; null: 20000."
    )
    min_choices = serializers.IntegerField(allow_null=True, help_text="Minimum number of choices.")
    max_choices = serializers.IntegerField(allow_null=True, help_text="Maximum number of choices.")


class ClarificationResponse(serializers.Serializer[Any]):
    """One round of questions of a step, with the answers after they were given."""

    round = serializers.IntegerField(source="number")
    questions = QuestionResponse(many=True)
    answers = AnswersField(allow_null=True, help_text="By question id; null while the questions are open.")
    asked_at = TimestampField()
    expires_at = TimestampField(allow_null=True, help_text="null: the questions have no deadline.")
    on_deadline = serializers.ChoiceField(
        choices=values(OnDeadline),
        allow_null=True,
        help_text="At the deadline: the defaults are used (without them the step fails), the step fails, or nothing.",
    )
    answered_at = TimestampField(allow_null=True)
    answered_by = serializers.CharField(
        allow_null=True, help_text="Name of the user, or `the deadline` if the defaults were used."
    )


class ItemResponse(serializers.Serializer[Any]):
    """The item of a for_each step."""

    keys = serializers.ListField(
        child=serializers.CharField(), help_text="The keys of the enclosing items, followed by its own key."
    )
    label = serializers.CharField(help_text="Its title, for display.")  # type: ignore[assignment]


def item(step_id: str, label: str) -> dict[str, Any] | None:
    """Return the item of a step for a response, None for a step that runs once."""
    keys = keys_of(step_id)
    return represent(ItemResponse, {"keys": keys, "label": label}) if keys else None


class InboxFilters(StrictSerializer):
    """Filters of the inbox."""

    workflow_id = serializers.CharField(required=False, help_text="Slug of the workflow.")
    scope_type = serializers.CharField(required=False, help_text="Kind of the scope.")
    scope_id = NameField(required=False, help_text="Key of the scope.")
    scope = serializers.UUIDField(
        required=False, help_text="Id of a root scope, or of a scope below one that the step works in."
    )


class OpenClarificationResponse(serializers.Serializer[Any]):
    """A step with open questions. Post the answers to its `clarification`."""

    execution_id = serializers.UUIDField(source="step.execution_id")
    workflow_id = serializers.CharField(source="step.execution.workflow_id")
    scope_type = serializers.CharField(source="step.execution.scope.type")
    scope_id = serializers.CharField(source="step.execution.scope.key")
    step_id = serializers.CharField(source="step.step_id")
    name = serializers.CharField(source="step.name")
    role = serializers.CharField(source="step.role")
    item = serializers.SerializerMethodField()
    dry_run = serializers.SerializerMethodField(help_text="The execution is a dry run: no provider is called.")
    clarification = ClarificationResponse(source="round")

    def get_dry_run(self, found: OpenClarification) -> bool:
        """Return whether the execution is a dry run."""
        return found.step.execution.script is not None

    @extend_schema_field(ItemResponse(allow_null=True))
    def get_item(self, found: OpenClarification) -> dict[str, Any] | None:
        """Return the item of the step, null for a step that runs once."""
        return item(found.step.step_id, found.step.label)
