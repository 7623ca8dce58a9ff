"""Serializers of the inbox."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api.serializers import (
    CommaSeparatedChoiceField,
    CountField,
    ListedChoiceField,
    StrictSerializer,
    TimestampField,
    represent,
)
from common.limits import limits
from common.names import NameField
from executions.api.bulk_views import BulkExecutionResponse, ExecutionIdField, ProblemField
from executions.api.clarification_serializers import ClarificationResponse, ItemResponse, item
from executions.api.serializers import MAX_INTEGER, values
from executions.engine.domain.states import InboxKind, Limit
from executions.selectors.inbox import InboxItem
from workflows.definitions.policies import MAX_ASSIGNEES

_ACTIONS = {InboxKind.QUESTION: "clarification", InboxKind.ACCEPTANCE: "acceptance"}


class InboxCounts(serializers.Serializer[Any]):
    """Counts of the inbox by kind."""

    question = CountField()
    acceptance = CountField()
    budget = CountField()
    failure = CountField()


class InboxFilters(StrictSerializer):
    """Filters of the inbox."""

    kind = CommaSeparatedChoiceField(
        choices=values(InboxKind), required=False, help_text="Kinds, separated by commas; repeatable."
    )
    scope_type = serializers.CharField(required=False, help_text="Type of the root scope.")
    scope_id = NameField(required=False, help_text="Key of the root scope.")
    workflow_id = serializers.CharField(required=False, help_text="Slug of the workflow.")
    assigned_to = ListedChoiceField(
        choices=[("me", "Me")], required=False, help_text="me: only what names you as an assignee."
    )
    overdue = serializers.BooleanField(
        allow_null=True, default=None, help_text="true: only what is overdue; false: only what is not."
    )
    dry_run = serializers.BooleanField(
        allow_null=True, default=None, help_text="true: only dry runs; false: no dry runs."
    )


class InboxDocument(serializers.Serializer[Any]):
    """The document that waits for a decision."""

    id = serializers.UUIDField()
    type = serializers.CharField()
    title = serializers.CharField()
    version = serializers.IntegerField(help_text="The decision names it.")
    proposed = serializers.BooleanField(help_text="A person has edited the document meanwhile.")
    required_votes = serializers.IntegerField(help_text="Number of votes that accept it.")
    voted_by = serializers.ListField(child=serializers.CharField(), help_text="Users who have accepted this version.")


class InboxError(serializers.Serializer[Any]):
    """Why the execution failed."""

    code = serializers.CharField()
    message = serializers.CharField()


class InboxEntryResponse(serializers.Serializer[Any]):
    """Something that you may act on, with what it is about."""

    id = serializers.UUIDField(source="entry.id")
    kind = serializers.ChoiceField(source="entry.kind", choices=values(InboxKind))
    execution_id = serializers.UUIDField(source="entry.execution_id")
    workflow_id = serializers.CharField(source="entry.workflow_id")
    scope_type = serializers.CharField(source="entry.execution.scope.type")
    scope_id = serializers.CharField(source="entry.execution.scope.key")
    dry_run = serializers.BooleanField(source="entry.dry_run")
    step_id = serializers.SerializerMethodField(help_text="null: it is about the whole execution.")
    name = serializers.SerializerMethodField(help_text="Name of the step.")
    item = serializers.SerializerMethodField()
    since = TimestampField(source="entry.since")
    due_at = TimestampField(source="entry.due_at", allow_null=True, help_text="null: it has no due date.")
    assignees = serializers.ListField(
        source="entry.assignees", child=serializers.CharField(), help_text="User names; empty: all users with the role."
    )
    blocked = serializers.BooleanField(
        source="is_blocked", help_text="Too few users can vote about the document: assign others, at `path`."
    )
    clarification = ClarificationResponse(source="round", allow_null=True, help_text="Of a question.")
    document = serializers.SerializerMethodField(help_text="Of an acceptance.")
    limits = serializers.ListField(
        child=serializers.ChoiceField(choices=values(Limit)), help_text="Of a budget: the limits to raise."
    )
    error = serializers.SerializerMethodField(help_text="Of a failure.")
    path = serializers.SerializerMethodField(help_text="Where to act on it.")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_step_id(self, found: InboxItem) -> str | None:
        """Return the step's id."""
        return found.entry.step_id or None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_name(self, found: InboxItem) -> str | None:
        """Return the step's name."""
        return None if found.step is None else found.step.name

    @extend_schema_field(ItemResponse(allow_null=True))
    def get_item(self, found: InboxItem) -> dict[str, Any] | None:
        """Return the item of the step, null for a step that runs once."""
        return None if found.step is None else item(found.step.step_id, found.step.label)

    @extend_schema_field(InboxDocument(allow_null=True))
    def get_document(self, found: InboxItem) -> dict[str, Any] | None:
        """Return the document that waits for a decision."""
        step, wait = found.step, found.wait
        if found.entry.kind != InboxKind.ACCEPTANCE or step is None or step.document_id is None:
            return None
        cast_votes = [] if wait is None else wait.voted_by(step.document_version or 0)
        shown = {
            "id": step.document_id,
            "type": step.produces,
            "title": found.heading.title,
            "version": step.document_version,
            "proposed": found.heading.proposed,
            "required_votes": 1 if wait is None else wait.required,
            "voted_by": cast_votes,
        }
        return represent(InboxDocument, shown)

    @extend_schema_field(InboxError(allow_null=True))
    def get_error(self, found: InboxItem) -> dict[str, Any] | None:
        """Return why the execution failed."""
        if found.entry.kind != InboxKind.FAILURE:
            return None
        row = found.entry.execution
        shown = {"code": row.failure_code, "message": row.failure_message}
        return represent(InboxError, shown)

    def get_path(self, found: InboxItem) -> str:
        """Return the path to act on it."""
        entry = found.entry
        path = f"/api/v1/executions/{entry.execution_id}"
        if found.is_blocked:
            return f"{path}/steps/{quote(entry.step_id, safe='@')}/assign"
        if (action := _ACTIONS.get(InboxKind(entry.kind))) is not None:
            return f"{path}/steps/{quote(entry.step_id, safe='@')}/{action}"
        return f"{path}/{'budget' if entry.kind == InboxKind.BUDGET else 'retry'}"


class DismissedResponse(serializers.Serializer[Any]):
    """The entry that was removed."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=values(InboxKind))
    execution_id = serializers.UUIDField()


class AssignRequest(StrictSerializer):
    """Who acts on a step, and until when."""

    assignees = serializers.ListField(
        child=serializers.CharField(max_length=150),
        max_length=MAX_ASSIGNEES,
        help_text="Names of users who may review in the scope; empty: all reviewers.",
    )
    due_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="RFC 3339; null removes it; without it the due date stays."
    )


class StepsBulkItem(StrictSerializer):
    """A document version that waits for a decision."""

    execution_id = ExecutionIdField()
    step_id = serializers.CharField(max_length=200)
    document_version = serializers.IntegerField(min_value=1, max_value=MAX_INTEGER)


class StepsBulkItemsField(serializers.ListField):
    """Document versions that wait for decisions."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=StepsBulkItem(), allow_empty=False, max_length=limits().bulk_steps, **options)

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        """Return the items.

        Raises:
            ValidationError: there are too many items, or some are invalid.
        """
        if isinstance(data, list) and len(data) > limits().bulk_steps:
            detail = f"Ensure this field has no more than {limits().bulk_steps} elements."
            raise serializers.ValidationError(detail, code="max_length")
        found: list[dict[str, Any]] = super().to_internal_value(data)
        return found


class StepsBulkRequest(StrictSerializer):
    """A bulk action and its steps."""

    action = ListedChoiceField(choices=[("accept", "Accept")])
    items = StepsBulkItemsField()


class StepsBulkOutcome(serializers.Serializer[Any]):
    """The outcome for one step: its execution's new state, or a problem."""

    execution_id = serializers.UUIDField()
    step_id = serializers.CharField()
    execution = BulkExecutionResponse(allow_null=True, help_text="null: the action failed.")
    problem = ProblemField(
        allow_null=True, help_text="The problem of a single request for this step; null: the action succeeded."
    )


class StepsBulkResponse(serializers.Serializer[Any]):
    """The outcomes of a bulk action."""

    data = StepsBulkOutcome(many=True, help_text="In the order of `items`.")  # type: ignore[assignment]
