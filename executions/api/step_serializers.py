"""Serializers of steps, prompts and events."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework import serializers

from access.serializers import may_field
from common.api.serializers import (
    CURSOR_PATTERN,
    CommaSeparatedChoiceField,
    ListedChoiceField,
    StrictSerializer,
    TimestampField,
    represent,
)
from executions.api.clarification_serializers import ClarificationResponse, ItemResponse, item
from executions.api.serializers import MAX_INTEGER, FailureResponse, failure, values
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.clarification import ClarificationRound
from executions.engine.domain.events import EventType, event_json
from executions.engine.domain.states import CallKind, Limit, StepStatus
from executions.selectors.executions import StepDetails, progress_event


class PinResponse(serializers.Serializer[Any]):
    """A document version that a step reads."""

    type = serializers.CharField()
    document_id = serializers.UUIDField()
    version = serializers.IntegerField()


class StepDocumentResponse(serializers.Serializer[Any]):
    """The document that a step produced."""

    id = serializers.UUIDField()
    type = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    proposed = serializers.BooleanField(help_text="true: a person edited the document meanwhile; a decision is needed.")


class PassageCommentResponse(serializers.Serializer[Any]):
    """A remark about a passage."""

    pointer = serializers.CharField(allow_blank=True, help_text="RFC 6901 pointer into the document.")
    quote = serializers.CharField(allow_blank=True, help_text="Empty: the whole value.")
    text = serializers.CharField()


class DecisionResponse(serializers.Serializer[Any]):
    """A person's decision about a version of a step's document."""

    decision = serializers.ChoiceField(choices=values(AcceptanceAction))
    document_version = serializers.IntegerField()
    accepted_version = serializers.IntegerField(
        source="accepted",
        allow_null=True,
        help_text="The accepted version: the one that was read, or one that the decision made of it. null: none.",
    )
    comment = serializers.CharField(allow_blank=True)
    comments = PassageCommentResponse(many=True, help_text="Requested changes at passages.")
    only_commented = serializers.BooleanField(help_text="Everything outside of these passages has to stay as it is.")
    decided_by = serializers.CharField(help_text="Name of the user.")
    decided_at = TimestampField()


class AcceptanceResponse(serializers.Serializer[Any]):
    """The acceptance of a step's document: instructions for the person, and decisions."""

    needed = serializers.BooleanField(help_text="The step's document waits for a decision.")
    instructions = serializers.CharField(allow_blank=True)
    decisions = DecisionResponse(many=True, help_text="Oldest first.")


class WaitResponse(serializers.Serializer[Any]):
    """The wait of a step for answers, or for a decision: who acts, and until when."""

    since = TimestampField()
    due_at = TimestampField(allow_null=True, help_text="The due date, or the deadline of questions. null: neither.")
    assignees = serializers.ListField(
        child=serializers.CharField(), help_text="User names; empty: all users with the role."
    )
    required_votes = serializers.IntegerField(help_text="Number of votes that accept the document; 1 for questions.")
    voted_by = serializers.ListField(child=serializers.CharField(), help_text="Users who have accepted this version.")


class ViolationResponse(serializers.Serializer[Any]):
    """One error in a model's output."""

    pointer = serializers.CharField(help_text="RFC 6901 pointer into the document.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ScopeResponse(serializers.Serializer[Any]):
    """The scope of a step's document."""

    id = serializers.UUIDField()
    type = serializers.CharField()
    key = serializers.CharField()


class StepStatusResponse(serializers.Serializer[Any]):
    """A step of an execution."""

    step_id = serializers.CharField(source="step.step_id")
    name = serializers.CharField(source="step.name")
    role = serializers.CharField(source="step.role")
    status = serializers.ChoiceField(source="step.status", choices=values(StepStatus))
    attempt = serializers.IntegerField(
        source="step.attempt", help_text="Number of the newest attempt; 0 before the first."
    )
    position = serializers.IntegerField(source="step.position", help_text="Index in the definition, from 0.")
    level = serializers.IntegerField(source="step.level", help_text="Depth in the step graph, from 0.")
    depends_on = serializers.ListField(source="step.depends_on", child=serializers.CharField())
    produces = serializers.CharField(source="step.produces", help_text="Type of the document that the step produces.")
    inputs = PinResponse(source="step.input_versions", many=True)
    scope = ScopeResponse(help_text="The execution's scope, or the item's scope below it.")
    item = serializers.SerializerMethodField()
    blocked_by_limit = serializers.SerializerMethodField()
    resume_at = TimestampField(
        source="deferred_until",
        allow_null=True,
        help_text="When a deferred step tries again; null: the step is not deferred.",
    )
    deferred_because = serializers.CharField(
        allow_null=True,
        help_text="Why the step is deferred: the error of its last call; null: the step is not deferred.",
    )
    started_at = TimestampField(source="step.started_at", allow_null=True)
    finished_at = TimestampField(source="step.finished_at", allow_null=True)
    document = serializers.SerializerMethodField()
    clarification = serializers.SerializerMethodField()
    earlier_clarifications = ClarificationResponse(
        source="earlier_rounds", many=True, help_text="The rounds before `clarification`, oldest first."
    )
    acceptance = serializers.SerializerMethodField()
    wait = serializers.SerializerMethodField()
    violations = ViolationResponse(source="step.violations", many=True)
    may = may_field()
    error = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(choices=values(Limit), allow_null=True))
    def get_blocked_by_limit(self, details: StepDetails) -> str | None:
        """Return the budget limit that the next call might exceed, null if the step is not blocked by a budget."""
        return details.step.blocked_by_limit or None

    @extend_schema_field(ItemResponse(allow_null=True))
    def get_item(self, details: StepDetails) -> dict[str, Any] | None:
        """Return the item of the step, null for a step that runs once."""
        return item(details.step.step_id, details.step.label)

    @extend_schema_field(StepDocumentResponse(allow_null=True))
    def get_document(self, details: StepDetails) -> dict[str, Any] | None:
        """Return the document, null until the step is completed."""
        step = details.step
        if step.document_id is None:
            return None
        made = {"id": step.document_id, "type": step.produces, "version": step.document_version}
        return represent(
            StepDocumentResponse, {**made, "title": details.heading.title, "proposed": details.heading.proposed}
        )

    @extend_schema_field(ClarificationResponse(allow_null=True))
    def get_clarification(self, details: StepDetails) -> dict[str, Any] | None:
        """Return the newest round of questions, null if the step has never asked."""
        newest: ClarificationRound | None = details.round
        return None if newest is None else represent(ClarificationResponse, newest)

    @extend_schema_field(AcceptanceResponse(allow_null=True))
    def get_acceptance(self, details: StepDetails) -> dict[str, Any] | None:
        """Return the acceptance and its decisions, null if the document needs no acceptance."""
        if details.acceptance is None and not details.heading.proposed:
            return None
        instructions = "" if details.acceptance is None else details.acceptance.instructions
        made = {"needed": details.needs_decision, "instructions": instructions}
        return represent(AcceptanceResponse, {**made, "decisions": details.decisions})

    @extend_schema_field(WaitResponse(allow_null=True))
    def get_wait(self, details: StepDetails) -> dict[str, Any] | None:
        """Return who acts and until when, null unless the step waits for answers or for a decision."""
        wait = details.wait
        if wait is None:
            return None
        told = {"since": wait.since, "due_at": wait.due_at or details.deadline, "assignees": wait.assignees}
        votes = wait.voted_by(details.step.document_version or 0)
        return represent(WaitResponse, {**told, "required_votes": wait.required, "voted_by": votes})

    @extend_schema_field(FailureResponse(allow_null=True))
    def get_error(self, details: StepDetails) -> dict[str, str] | None:
        """Return why the step failed, null if it has not."""
        return failure(details.step.failure_code, details.step.failure_message)


class StepFilters(StrictSerializer):
    """Filters of a list of steps."""

    since = serializers.IntegerField(
        min_value=0,
        max_value=MAX_INTEGER,
        required=False,
        help_text="Only steps with an event of a greater sequence. All, if such events were pruned. A step that is "
        "deferred has no event.",
    )
    status = CommaSeparatedChoiceField(
        choices=values(StepStatus), required=False, help_text="Only these statuses; comma-separated or repeated."
    )


class PromptFilters(StrictSerializer):
    """Selects a call of the step; by default the newest."""

    attempt = serializers.IntegerField(
        min_value=1, max_value=MAX_INTEGER, required=False, help_text="Number of the attempt, from 1."
    )
    kind = ListedChoiceField(choices=values(CallKind), required=False, help_text="Purpose of the call.")
    ordinal = serializers.IntegerField(
        min_value=1, max_value=MAX_INTEGER, required=False, help_text="Number of the try within the attempt, from 1."
    )


class AttachmentResponse(serializers.Serializer[Any]):
    """A file that the model got as it is. Its bytes are stored once, as the uploaded file."""

    file_id = serializers.UUIDField()
    name = serializers.CharField()
    type = serializers.CharField(source="media_type", help_text="Media type.")
    sha256 = serializers.CharField(help_text="Of the bytes, in hex; a part of the request's hash.")
    size = serializers.IntegerField(help_text="Bytes.")


class PromptResponse(serializers.Serializer[Any]):
    """The prompt of one call."""

    step_id = serializers.CharField(source="call.key.step_id")
    attempt = serializers.IntegerField(source="call.key.attempt")
    kind = serializers.ChoiceField(choices=values(CallKind), source="call.key.kind")
    ordinal = serializers.IntegerField(source="call.key.ordinal")
    model = serializers.CharField(source="call.model", help_text="provider:model.")
    started_at = TimestampField(source="call.started_at")
    request_hash = serializers.CharField(
        source="call.request_hash", help_text="SHA-256 of the sent request, stored at the time of the call."
    )
    exact = serializers.BooleanField(
        source="is_exact",
        help_text="true: this prompt has that hash. false: its inputs, or how prompts are built, have changed since.",
    )
    instructions = serializers.CharField(source="request.instructions")
    prompt = serializers.CharField(source="request.prompt")
    attachments = AttachmentResponse(
        many=True, source="request.attachments", help_text="Files that the model got as they are, in order."
    )
    output_schema = serializers.DictField(source="request.output_schema")
    max_questions = serializers.IntegerField(
        source="request.max_questions", help_text="0: the model could not ask questions."
    )
    max_output_tokens = serializers.IntegerField(source="request.max_output_tokens")


@extend_schema_field({"anyOf": [{"type": "string", "enum": [each.value for each in EventType]}, {"type": "string"}]})
class EventTypeField(serializers.CharField):
    """The type of an event."""


class EventResponse(serializers.Serializer[Any]):
    """An event of the log; streams send the same object."""

    event_type = EventTypeField(help_text="One of these, or a type of a newer version: ignore unknown types.")
    execution_id = serializers.UUIDField()
    step_id = serializers.CharField(allow_null=True)
    sequence = serializers.IntegerField(help_text="1, 2, 3 … without gaps.")
    timestamp = TimestampField()
    data = serializers.DictField(  # type: ignore[assignment]
        help_text="The event's payload."
    )

    def to_representation(self, row: Any) -> dict[str, Any]:
        """Return the event as streams send it."""
        return {**event_json(progress_event(row))}


class EventPage(serializers.Serializer[Any]):
    """A page of the event log."""

    data = EventResponse(many=True)  # type: ignore[assignment]
    next_cursor = serializers.CharField(allow_null=True, help_text="null: this is the last page.")
    oldest = serializers.IntegerField(
        help_text="Sequence of the oldest stored event; if greater than 1, earlier events were pruned."
    )


#: Parameters of a page of the log.
PAGE = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
        description="Maximum rows per page.",
    ),
    OpenApiParameter(
        "cursor",
        {"type": "string", "pattern": CURSOR_PATTERN},
        description="`next_cursor` of the previous page, unchanged; the first page without it.",
    ),
]
