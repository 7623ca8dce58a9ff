"""How questions and their answers look to clients."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api.fields import TimestampField
from common.api.serializers import StrictSerializer
from common.names import NameField
from executions.api.fields import AnswersField
from executions.api.serializers import values
from executions.engine.domain.clarification import AnswerType
from executions.engine.domain.execution import keys_of
from executions.selectors.clarifications import OpenClarification
from workflows.definitions.definition import OnDeadline


@extend_schema_field({"type": ["number", "null"]})
class BoundField(serializers.Field):
    """A number on its way out, as it was written."""

    def to_representation(self, value: float) -> float:
        """Return it as it is."""
        return value


@extend_schema_field({"type": ["string", "number", "boolean", "array", "null"], "items": {"type": "string"}})
class AnswerField(serializers.Field):
    """An answer on its way out: a text, a number, yes or no, or the values of choices."""

    def to_representation(self, value: object) -> object:
        """Return it as it is."""
        return value


class ChoiceResponse(serializers.Serializer[Any]):
    """One of the answers that a question offers."""

    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]


class QuestionResponse(serializers.Serializer[Any]):
    """A question to a person. Bounds are included; one that is null, or belongs to another type, does not bound."""

    id = serializers.CharField()
    text = serializers.CharField()
    answer_type = serializers.ChoiceField(choices=values(AnswerType))
    required = serializers.BooleanField()  # type: ignore[assignment]
    choices = ChoiceResponse(many=True)
    default = AnswerField(help_text="What is assumed without an answer.")
    why = serializers.CharField(help_text="What depends on the answer.")
    minimum = BoundField(help_text="Of a number.")
    maximum = BoundField(help_text="Of a number.")
    integer = serializers.BooleanField(help_text="Only whole numbers fit.")
    earliest = serializers.DateField(allow_null=True, help_text="Of a date.")
    latest = serializers.DateField(allow_null=True, help_text="Of a date.")
    min_length = serializers.IntegerField(allow_null=True, help_text="Characters of a free text.")
    max_length = serializers.IntegerField(allow_null=True, help_text="Characters of a free text; null: 20000.")
    min_choices = serializers.IntegerField(allow_null=True, help_text="Of several choices.")
    max_choices = serializers.IntegerField(allow_null=True, help_text="Of several choices.")


class ClarificationResponse(serializers.Serializer[Any]):
    """One round of questions of a step, and their answers once they are there."""

    round = serializers.IntegerField(source="number")
    questions = QuestionResponse(many=True)
    answers = AnswersField(allow_null=True, help_text="By question id; null while the questions are open.")
    asked_at = TimestampField()
    expires_at = TimestampField(allow_null=True, help_text="null: the questions wait for ever.")
    on_deadline = serializers.ChoiceField(
        choices=values(OnDeadline),
        allow_null=True,
        help_text="What happens then: the defaults answer (without them the step fails), the step fails, or nothing.",
    )
    answered_at = TimestampField(allow_null=True)
    answered_by = serializers.CharField(
        allow_null=True, help_text="Name of the user, or `the deadline` where the defaults stood in."
    )


class ItemResponse(serializers.Serializer[Any]):
    """The item of a collection that a step is about."""

    keys = serializers.ListField(
        child=serializers.CharField(), help_text="Its key, after those of the items around it."
    )
    label = serializers.CharField(help_text="Its title, for people.")  # type: ignore[assignment]


def item(step_id: str, label: str) -> dict[str, Any] | None:
    """Return what a step is about as clients get it, None for one that runs once."""
    keys = keys_of(step_id)
    return ItemResponse({"keys": keys, "label": label}).data if keys else None


class InboxFilters(StrictSerializer):
    """What the inbox can be narrowed to."""

    workflow_id = serializers.CharField(required=False, help_text="Slug of the workflow.")
    scope_type = serializers.CharField(required=False, help_text="Kind of the scope.")
    scope_id = NameField(required=False, help_text="Key of the scope.")


class OpenClarificationResponse(serializers.Serializer[Any]):
    """A step that waits for answers: answer at its `clarification`."""

    execution_id = serializers.UUIDField(source="step.execution_id")
    workflow_id = serializers.CharField(source="step.execution.workflow_id")
    scope_type = serializers.CharField(source="step.execution.scope.type")
    scope_id = serializers.CharField(source="step.execution.scope.key")
    step_id = serializers.CharField(source="step.step_id")
    name = serializers.CharField(source="step.name")
    role = serializers.CharField(source="step.role")
    item = serializers.SerializerMethodField()
    dry_run = serializers.SerializerMethodField(help_text="Nothing in its execution is meant.")
    clarification = ClarificationResponse(source="round")

    def get_dry_run(self, found: OpenClarification) -> bool:
        """Return whether nothing in its execution is meant."""
        return found.step.execution.script is not None

    @extend_schema_field(ItemResponse(allow_null=True))
    def get_item(self, found: OpenClarification) -> dict[str, Any] | None:
        """Return what the step is about, null for one that runs once."""
        return item(found.step.step_id, found.step.label)
