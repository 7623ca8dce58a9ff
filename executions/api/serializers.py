"""Serializers of executions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from access.serializers import may_field
from common.api.serializers import (
    CommaSeparatedChoiceField,
    ListedChoiceField,
    MoneyField,
    StrictSerializer,
    TimestampField,
)
from common.canonical_json import digest
from common.names import NameField
from executions.api.budget_serializers import BudgetRequest, BudgetResponse
from executions.api.fields import AnswersField, BriefField, DefinitionField, ScriptField, TagsField, TextOrObjectField
from executions.engine.domain.acceptance import AcceptanceAction, PassageComment
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.events import EventType
from executions.engine.domain.states import ExecutionStatus, FailureCode, Reuse, WaitingOn
from executions.selectors.details import ExecutionDetails
from executions.services.acceptance import AcceptedEdit, PersonsDecision
from executions.services.documents import patch_with, replace_with
from telemetry.serializers import UNPRICED

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
MAX_INTEGER = 2_147_483_647


def values(members: Iterable[StrEnum]) -> list[tuple[str, str]]:
    """Return the values of an enumeration as choices, with names by which the OpenAPI document identifies it."""
    return [(member.value, member.name) for member in members]


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A brief in a project",
            request_only=True,
            value={
                "workflow_id": "strategy-document",
                "scope_type": "project",
                "scope_id": "tool-library",
                "input": "The city wants to lend 400 tools from 3 branches. The budget is 20,000 EUR.",
                "tags": ["pilot"],
            },
        )
    ]
)
class StartExecutionRequest(StrictSerializer):
    """The workflow to start, its scope, and its input."""

    workflow_id = serializers.RegexField(
        SLUG, max_length=63, required=False, help_text="Slug of a published workflow. Required without `definition`."
    )
    definition = DefinitionField(
        required=False,
        help_text="In place of `workflow_id`: a definition that is not published, as an object or as a YAML text. For "
        "authors, and only with `dry_run`.",
    )
    scope_type = serializers.RegexField(SLUG, max_length=63, help_text="Type of the scope, such as `project`.")
    scope_id = NameField(max_length=200, help_text="Key of the scope. The first user of a key owns the scope.")
    workflow_version = serializers.IntegerField(
        min_value=1, max_value=MAX_INTEGER, required=False, help_text="The current version by default."
    )
    input = BriefField(
        required=False,
        allow_null=True,
        help_text="The brief: a text or an object, with `files` for uploaded files. null or omitted: no brief, if the "
        "workflow permits that.",
    )
    tags = TagsField(required=False)
    dry_run = serializers.BooleanField(
        default=False,
        help_text="No provider is called: all models are simulated at no cost. The scope's documents do not change.",
    )
    rehearsal = ScriptField(required=False, help_text="The script of a dry run; see Writing a workflow.")
    reuse = ListedChoiceField(
        choices=values(Reuse),
        default=Reuse.NONE.value,
        help_text=(
            "current: a step whose document in the scope is current is completed with it, without a call. Current "
            "means: made by the same step from the same brief and from inputs with the same content, and accepted if "
            "the step needs that. The model does not count. A dry run makes everything."
        ),
    )
    budget = BudgetRequest(required=False, help_text="Limits that replace the workflow's limits; null removes one.")

    def get_fields(self) -> dict[str, Any]:
        """Return the fields; a request without a definition has to name a workflow."""
        fields = super().get_fields()
        sent = getattr(self, "initial_data", None)
        fields["workflow_id"].required = isinstance(sent, Mapping) and "definition" not in sent
        return fields

    def validate_reuse(self, value: str) -> Reuse:
        """Return the choice as an engine value."""
        return Reuse(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the values, with the script of a dry run.

        Raises:
            ValidationError: there is a script or a candidate, but the execution is not a dry run; or it is not clear
                which workflow is meant.
        """
        is_dry, script = attrs.pop("dry_run"), attrs.pop("rehearsal", None)
        if refused := _candidate_faults(attrs, is_dry=is_dry):
            raise serializers.ValidationError(refused)
        if script is not None and not is_dry:
            raise serializers.ValidationError({"rehearsal": "Only a dry run can have a script: set dry_run, too."})
        return {**attrs, "script": script or DryRunScript()} if is_dry else attrs


def _candidate_faults(attrs: Mapping[str, Any], *, is_dry: bool) -> dict[str, str]:
    """Return what is wrong with the choice between a published workflow and a candidate, by field."""
    if "definition" not in attrs:
        return {}
    faults = {
        name: "A definition stands in place of a published workflow: send one of both."
        for name in ("workflow_id", "workflow_version")
        if name in attrs
    }
    if not is_dry:
        faults["definition"] = "A definition that is not published can only be tried: set dry_run, too."
    return faults


class EmptyRequest(StrictSerializer):
    """A request without fields: an empty body or an empty object."""


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Answers of each type, by id and by text",
            request_only=True,
            value={
                "answers": {
                    "discovery.1.1": "Ms Ode, after the council has met",
                    "discovery.1.2": "second-ferry",
                    "discovery.1.3": ["weekends", "evenings"],
                    "discovery.1.4": True,
                    "discovery.1.5": 400,
                    "When does it start?": "2027-04-01",
                }
            },
        )
    ]
)
class ClarificationAnswers(StrictSerializer):
    """Answers by question id or question text. A question without an answer gets its default, if it has one."""

    answers = AnswersField()


class CommentOnPassage(StrictSerializer):
    """A remark about a passage: a value, or a quote within a text."""

    pointer = serializers.RegexField(
        r"^(/([^~/]|~[01])*)*$", allow_blank=True, max_length=1_000, help_text="RFC 6901 pointer into the document."
    )
    quote = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, max_length=10_000, help_text="By default all of it."
    )
    text = serializers.CharField(max_length=10_000, help_text="What to change.")


class AcceptanceRequest(StrictSerializer):
    """A decision about a waiting document, with the version that was read."""

    decision = ListedChoiceField(choices=values(AcceptanceAction))
    document_version = serializers.IntegerField(min_value=1, max_value=MAX_INTEGER)
    comment = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=10_000,
        help_text="A comment for the record. To request changes it, or `comments`, is required; the model gets both.",
    )
    comments = serializers.ListField(
        child=CommentOnPassage(),
        required=False,
        max_length=100,
        help_text="Only to request changes: what to change, and where.",
    )
    only_commented = serializers.BooleanField(
        required=False, help_text="Only with `comments`: everything outside of these passages has to stay as it is."
    )
    content = TextOrObjectField(
        required=False, help_text="Only to accept: your version of the content, which is stored and accepted."
    )
    patch = serializers.JSONField(
        required=False, help_text="Only to accept, in place of `content`: a JSON Patch (RFC 6902) of the content."
    )
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=2_000, help_text="With `content` or `patch`: why you changed it."
    )
    head_version = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_INTEGER,
        help_text="The document's version with which you compared. It is required to accept a proposed version, and to "
        "edit a version that is not the newest; to reject, it is optional. If another one is the newest, the answer is "
        "412.",
    )

    def validate_decision(self, value: str) -> AcceptanceAction:
        """Return the decision as an engine value."""
        return AcceptanceAction(value)

    def validate_comments(self, value: Sequence[Mapping[str, str]]) -> tuple[PassageComment, ...]:
        """Return the comments as engine values."""
        return tuple(PassageComment(**each) for each in value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the decision, with an edit in place of content, patch and note.

        Raises:
            ValidationError: a value does not belong to the decision, or there are both content and patch.
        """
        accepts = attrs["decision"] is AcceptanceAction.ACCEPT
        asks = attrs["decision"] is AcceptanceAction.REQUEST_CHANGES
        allowed = {"content": accepts, "patch": accepts, "note": accepts, "head_version": not asks, "comments": asks}
        refused = {name: "This does not belong to the decision." for name in attrs if not allowed.get(name, True)}
        edits = attrs.keys() & {"content", "patch"}
        if len(edits) > 1:
            refused["patch"] = "Send either `content` or `patch`."
        if attrs.get("note") and not edits:
            refused.setdefault("note", "This needs `content` or `patch`.")
        if attrs.get("only_commented") and not attrs.get("comments"):
            refused["only_commented"] = "This needs `comments`."
        if refused:
            raise serializers.ValidationError(refused)
        sent = {name: attrs.pop(name) for name in ("content", "patch", "note") if name in attrs}
        if edits:
            edit = replace_with(sent["content"]) if "content" in edits else patch_with(sent["patch"], at="/patch")
            attrs["edit"] = AcceptedEdit(edit=edit, note=sent.get("note", ""), hash=digest(sent))
        return {"said": PersonsDecision(**attrs)}


class RetryRequest(StrictSerializer):
    """Where to continue: by default with the failed, cancelled and skipped steps."""

    from_step = serializers.CharField(
        required=False,
        max_length=200,
        help_text="This step and all its dependents run again, too, and replace their documents.",
    )


class ExecutionFilters(StrictSerializer):
    """Filters of the list of executions."""

    status = serializers.ListField(
        child=ListedChoiceField(choices=values(ExecutionStatus)), required=False, help_text="Repeatable."
    )
    workflow_id = serializers.CharField(required=False, help_text="Slug of the workflow.")
    scope_type = serializers.CharField(required=False, help_text="Type of the scope.")
    scope_id = NameField(required=False, help_text="Key of the scope.")
    scope = serializers.UUIDField(
        required=False, help_text="Id of a root scope, or of a scope below one in which a step works."
    )
    tag = NameField(required=False, help_text="One of the execution's tags.")
    created_after = serializers.DateTimeField(required=False, help_text="RFC 3339; included.")
    created_before = serializers.DateTimeField(required=False, help_text="RFC 3339; not included.")
    waiting_on = ListedChoiceField(
        choices=values(WaitingOn), required=False, help_text="One of the things that the execution waits for."
    )
    dry_run = serializers.BooleanField(
        allow_null=True, default=None, help_text="true: only dry runs; false: no dry runs."
    )

    def validate_status(self, value: list[str]) -> list[str]:
        """Return the distinct statuses."""
        return list(dict.fromkeys(value))


class EventFilters(StrictSerializer):
    """Range and types of events."""

    after = serializers.IntegerField(
        min_value=0, max_value=MAX_INTEGER, required=False, help_text="Only events with a greater sequence."
    )
    types = CommaSeparatedChoiceField(
        choices=values(EventType), required=False, help_text="Only these types; comma-separated or repeated."
    )


class FailureResponse(serializers.Serializer[Any]):
    """Why an execution or a step failed."""

    code = serializers.ChoiceField(choices=values(FailureCode))
    message = serializers.CharField()


def failure(code: str, message: str) -> dict[str, str] | None:
    """Return the failure for a response, None if there is none."""
    return {"code": code, "message": message} if code else None


class ProgressResponse(serializers.Serializer[Any]):
    """The progress of an execution."""

    done_steps = serializers.IntegerField()
    total_steps = serializers.IntegerField()


class UsageResponse(serializers.Serializer[Any]):
    """Calls and tokens so far. Buckets are disjoint; `reasoning_tokens` is a part of `output_tokens`."""

    calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField(help_text="Without cached tokens.")
    cache_read_input_tokens = serializers.IntegerField()
    cache_write_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()


class ExecutionResponse(serializers.Serializer[Any]):
    """An execution with its progress and its cost so far."""

    execution_id = serializers.UUIDField(source="execution.id")
    workflow_id = serializers.CharField(source="execution.workflow_id")
    workflow_version = serializers.IntegerField()
    status = serializers.ChoiceField(source="execution.status", choices=values(ExecutionStatus))
    waiting_on = serializers.ListField(
        source="execution.waiting_on", child=serializers.ChoiceField(choices=values(WaitingOn))
    )
    scope_type = serializers.CharField(source="execution.scope.type")
    scope_id = serializers.CharField(source="execution.scope.key")
    version = serializers.IntegerField(source="execution.version", help_text="The ETag begins with it.")
    input = BriefField(
        source="execution.input", allow_null=True, help_text="The brief; null: none was given, or it was erased."
    )
    tags = serializers.ListField(source="execution.tags", child=serializers.CharField())
    requested_by = serializers.CharField(source="execution.requested_by_name", help_text="Name of the user.")
    rehearsal = serializers.BooleanField(
        help_text="The free rehearsal was used: it makes replies up, or plays prepared ones."
    )
    dry_run = serializers.SerializerMethodField(
        help_text="Dry run: no provider is called, and documents go to a separate scope."
    )
    reuse = serializers.ChoiceField(
        source="execution.reuse", choices=values(Reuse), help_text="current: it calls no model for current documents."
    )
    resume_at = TimestampField(
        source="execution.resume_at",
        allow_null=True,
        help_text="When the next deferred step continues; null: no step is deferred.",
    )
    created_at = TimestampField(source="execution.created_at")
    started_at = TimestampField(source="execution.started_at", allow_null=True)
    finished_at = TimestampField(source="execution.finished_at", allow_null=True)
    updated_at = TimestampField(source="execution.updated_at")
    erased_at = TimestampField(
        source="execution.erased_at",
        allow_null=True,
        help_text="When brief, answers, prompts and replies were erased; null: they were not.",
    )
    progress = ProgressResponse(source="*")
    usage = UsageResponse(source="spent")
    cost_usd = MoneyField(source="spent.cost_usd", allow_null=True)
    known_cost_usd = MoneyField(source="spent.known_cost_usd")
    cost_complete = serializers.BooleanField(source="spent.cost_complete")
    unpriced_calls = serializers.IntegerField(source="spent.unpriced_calls", help_text=UNPRICED)
    cost_final = serializers.BooleanField(source="spent.cost_final")
    budget = BudgetResponse(source="use", allow_null=True, help_text="null: no limits.")
    may = may_field()
    error = serializers.SerializerMethodField()

    def get_dry_run(self, details: ExecutionDetails) -> bool:
        """Return whether the execution is a dry run."""
        return details.execution.script is not None

    @extend_schema_field(FailureResponse(allow_null=True))
    def get_error(self, details: ExecutionDetails) -> dict[str, str] | None:
        """Return why the execution failed, null if it has not."""
        return failure(details.failure_code, details.failure_message)
