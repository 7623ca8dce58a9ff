"""Steps and events of executions in the admin: tables in the page of an execution, and lists of any length."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from common.admin import (
    LongList,
    ReadOnlyAdmin,
    ReadOnlyInline,
    SearchById,
    execution_link,
    link,
    list_of,
    once,
    readable,
    with_json,
)
from executions.engine.domain.states import ExecutionStatus, StepStatus
from executions.models import ExecutionEvent, ExecutionStep

COLOURS = {
    ExecutionStatus.RUNNING.value: "info",
    ExecutionStatus.WAITING.value: "warning",
    ExecutionStatus.COMPLETED.value: "success",
    ExecutionStatus.FAILED.value: "danger",
    StepStatus.REMEDIATING.value: "warning",
}


class _StepFields:
    """How tables and pages show a step."""

    @display(description="status", label=COLOURS, ordering="status")
    def state(self, row: ExecutionStep) -> str:
        """Return the status for display as a badge."""
        return str(row.status)

    @admin.display(description="questions, answers, decisions")
    @once
    def questions(self, row: ExecutionStep) -> str:
        """Return questions with answers and decisions, or the failure."""
        if row.failure_code:
            return f"{row.failure_code}: {row.failure_message}"
        asked = [
            (question["text"], "open" if each["answers"] is None else str(each["answers"].get(question["id"], "-")))
            for each in row.rounds
            for question in each["questions"]
        ]
        decided = [
            (f"version {each['document_version']}, {each['decided_by']}", f"{each['decision']} {each['comment']}")
            for each in row.decisions
        ]
        return format_html_join("", "<p>{} <strong>{}</strong></p>", [*asked, *decided]) or "-"


class ExecutionStepInline(_StepFields, ReadOnlyInline):
    """The steps of an execution."""

    model = ExecutionStep
    fields = ("position", "step_id", "role", "state", "attempt", "produces", "started_at", "finished_at", "questions")
    readonly_fields = fields
    ordering = ("position", "item_order", "id")
    show_change_link = True


class _EventFields:
    """How tables and pages show an event."""

    @admin.display(description="data")
    def told(self, row: ExecutionEvent) -> str:
        """Return the event's payload, name by name."""
        return readable(row.data)


class ExecutionEventInline(_EventFields, ReadOnlyInline):
    """The event log of an execution."""

    model = ExecutionEvent
    fields = ("sequence", "event_type", "step_id", "timestamp", "told")
    readonly_fields = fields
    ordering = ("sequence", "id")


@admin.register(ExecutionStep)
class ExecutionStepAdmin(_StepFields, SearchById, LongList, ReadOnlyAdmin):
    """Steps of all executions. A page of an execution leads to those of it."""

    list_display = ("step_id", "of_execution", "state", "attempt", "role", "produces", "started_at", "finished_at")
    list_filter = ("status",)
    search_fields = ("execution_id", "step_id")
    search_help_text = "The whole id of an execution; after it, if you like, the id of a step."
    ordering = ("-id",)
    readonly_fields = ("of_execution", "state", "questions", "made", "faults")
    fieldsets = (
        (None, {"fields": ("step_id", "name", "label", "of_execution", "state", "questions")}),
        ("When", {"fields": ("started_at", "finished_at", "resume_at")}),
        ("Work", {"fields": ("role", "produces", "made", "attempt", "invalid_outputs", "faults", "blocked_by_limit")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExecutionStep]:
        """Return all steps, without their executions; a list does not read texts."""
        rows: QuerySet[ExecutionStep] = super().get_queryset(request)
        return rows.select_related(None).defer("rounds", "decisions", "violations")

    @admin.display(description="execution", ordering="execution_id")
    def of_execution(self, row: ExecutionStep) -> str:
        """Return a link to the execution."""
        return execution_link(row.execution_id)

    @admin.display(description="document")
    def made(self, row: ExecutionStep) -> SafeString | str:
        """Return a link to the document that it made."""
        if row.document_id is None:
            return "-"
        address = list_of("documents.documentversion", document__id__exact=row.document_id)
        return format_html("{}, version {}", link(address, row.produces), row.document_version)

    @admin.display(description="faults of the newest output")
    @once
    def faults(self, row: ExecutionStep) -> str:
        """Return what the rules found wrong."""
        return with_json(row.violations) if row.violations else "-"


@admin.register(ExecutionEvent)
class ExecutionEventAdmin(_EventFields, SearchById, LongList, ReadOnlyAdmin):
    """Events of all executions. A page of an execution leads to those of it."""

    list_display = ("sequence", "of_execution", "event_type", "step_id", "timestamp")
    search_fields = ("execution_id", "step_id")
    search_help_text = "The whole id of an execution; after it, if you like, the id of a step."
    ordering = ("-id",)
    fields = ("sequence", "of_execution", "event_type", "step_id", "timestamp", "told")
    readonly_fields = ("of_execution", "told")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExecutionEvent]:
        """Return all events; a list does not read their data."""
        rows: QuerySet[ExecutionEvent] = super().get_queryset(request)
        return rows.defer("data")

    @admin.display(description="execution", ordering="execution_id")
    def of_execution(self, row: ExecutionEvent) -> str:
        """Return a link to the execution."""
        return execution_link(row.execution_id)
