"""Executions in the admin: view and cancel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from access.user import User
from common.admin import ReadOnlyAdmin, ReadOnlyInline, pretty
from common.database.server import database_now
from common.errors import DomainError
from documents import selectors as documents
from executions.engine.domain.states import ExecutionStatus, StepStatus
from executions.models import Execution, ExecutionEvent, ExecutionStep, WorkerHeartbeat
from executions.services import executions
from telemetry import selectors as telemetry

_COLOURS = {
    ExecutionStatus.RUNNING.value: "info",
    ExecutionStatus.WAITING.value: "warning",
    ExecutionStatus.COMPLETED.value: "success",
    ExecutionStatus.FAILED.value: "danger",
    StepStatus.REMEDIATING.value: "warning",
}
_DRY_RUN = {"dry run": "warning"}
_CELL = '<td style="padding: 0.25rem 1rem 0.25rem 0">{}</td>'


def _table(titles: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """Return an HTML table; every cell is escaped."""
    if not rows:
        return "None yet."
    head = format_html_join("", '<th style="padding: 0.25rem 1rem 0.25rem 0; text-align: left">{}</th>', zip(titles))
    body = format_html_join("", "<tr>{}</tr>", ((format_html_join("", _CELL, zip(cells)),) for cells in rows))
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body)


class ExecutionStepInline(ReadOnlyInline):
    """The steps of an execution."""

    model = ExecutionStep
    fields = ("position", "step_id", "role", "state", "attempt", "produces", "started_at", "finished_at", "questions")
    readonly_fields = fields
    ordering = ("position", "item_order", "id")

    @display(description="status", label=_COLOURS)
    def state(self, row: ExecutionStep) -> str:
        """Return the status for display as a badge."""
        return str(row.status)

    @admin.display(description="questions, answers, decisions")
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


class ExecutionEventInline(ReadOnlyInline):
    """The event log of an execution."""

    model = ExecutionEvent
    fields = ("sequence", "event_type", "step_id", "timestamp", "told")
    readonly_fields = fields
    ordering = ("sequence", "id")

    @admin.display(description="data")
    def told(self, row: ExecutionEvent) -> str:
        """Return the event's payload as indented JSON."""
        return pretty(row.data) if row.data else "-"


class DryRunFilter(admin.SimpleListFilter):
    """Filters dry runs."""

    title = "dry run"
    parameter_name = "dry_run"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the options."""
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        """Return the executions of the selected option."""
        return queryset if self.value() is None else queryset.filter(script__isnull=self.value() == "no")


@admin.register(Execution)
class ExecutionAdmin(ReadOnlyAdmin):
    """Executions with their steps, events, documents and calls."""

    list_display = (
        "__str__",
        "state",
        "dry_run",
        "scope",
        "requested_by_name",
        "created_at",
        "finished_at",
        "live_page",
    )
    list_filter = ("status", DryRunFilter, "workflow_id", "scope__type", "created_at")
    search_fields = ("id", "workflow_id", "scope__key", "requested_by_name")
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    actions = ("cancel",)
    inlines = (ExecutionStepInline, ExecutionEventInline)
    readonly_fields = ("state", "dry_run", "rehearsal", "live_page", "brief", "made_documents", "model_calls")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        """Return all executions with their scopes, without the workflow definitions."""
        rows: QuerySet[Execution] = super().get_queryset(request)  # `list_select_related` would be ignored
        return rows.select_related("workflow_version", "scope").defer("workflow_version__definition")

    def get_fieldsets(self, request: HttpRequest, obj: Execution | None = None) -> list[tuple[str | None, Any]]:
        """Return the panels that the user has permission to view."""
        times = ("created_at", "started_at", "resume_at", "finished_at", "updated_at")
        panels: list[tuple[str | None, Any]] = [
            (
                None,
                {"fields": ("id", "workflow_id", "workflow_version", "state", "dry_run", "waiting_on", "live_page")},
            ),
            ("Whence", {"fields": ("scope", "requested_by_name", "tags", "brief")}),
            ("When", {"fields": times}),
            ("Failure", {"fields": ("failure_code", "failure_message")}),
            ("Worker", {"fields": ("claimed_by", "fencing_token", "version", "last_sequence")}),
        ]
        if obj is not None and obj.script is not None:
            panels.append(("Rehearsal", {"fields": ("rehearsal",)}))
        if request.user.has_perm("documents.view_documentversion"):
            panels.append(("Documents", {"fields": ("made_documents",)}))
        if request.user.has_perm("telemetry.view_modelcall"):
            panels.append(("Model calls", {"fields": ("model_calls",)}))
        return panels

    @display(description="status", label=_COLOURS, ordering="status")
    def state(self, row: Execution) -> str:
        """Return the status for display as a badge."""
        return str(row.status)

    @display(description="dry run", label=_DRY_RUN)
    def dry_run(self, row: Execution) -> str:
        """Return a badge for dry runs."""
        return "" if row.script is None else "dry run"

    @admin.display(description="script")
    def rehearsal(self, row: Execution) -> str:
        """Return the script of a dry run as indented JSON."""
        return pretty(row.script)

    @admin.display(description="live page")
    def live_page(self, row: Execution) -> str:
        """Return a link to the live page of the execution."""
        return format_html('<a class="text-primary-600" href="/executions/{}/">watch</a>', row.id)

    @admin.display(description="brief")
    def brief(self, row: Execution) -> str:
        """Return the brief as text."""
        if row.input is None:
            return "none"
        if isinstance(row.input, str):
            return format_html('<div style="white-space: pre-wrap; max-width: 70rem">{}</div>', row.input)
        return pretty(row.input)

    @admin.display(description="documents")
    def made_documents(self, row: Execution) -> str:
        """Return a table of the documents of the execution, with links."""
        made = [
            (
                each.document.type,
                format_html('<a href="{}">{}</a>', _page("documents_documentversion_change", each.pk), each.title),
                each.version,
                each.step_id,
                each.created_at,
            )
            for each in documents.made_by(row.id)
        ]
        return _table(("type", "title", "version", "step", "created at"), made)

    @admin.display(description="model calls")
    def model_calls(self, row: Execution) -> str:
        """Return a table of the model calls with links, and their totals."""
        calls: list[tuple[object, ...]] = [
            (
                format_html('<a href="{}">{}</a>', _page("telemetry_modelcall_change", call.pk), call.step_id),
                call.attempt,
                call.kind,
                call.status,
                call.requested_model,
                telemetry.total_of_call(call).total_tokens,
                "not known" if call.cost_usd is None else f"{call.cost_usd:f}",
            )
            for call in telemetry.calls_of(row.id)
        ]
        if calls:
            whole = telemetry.execution_totals(row.id)
            unknown = f", and {whole.unpriced_calls} calls with unknown cost" if whole.unpriced_calls else ""
            cost = f"{whole.known_cost_usd:f}{unknown}"
            calls.append(("all", "", "", "", "", whole.total_tokens, cost))
        return _table(("step", "attempt", "kind", "status", "model", "tokens", "US dollars"), calls)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may cancel executions, which needs the permission to change them."""
        return request.user.has_perm("executions.change_execution")

    @admin.action(description="Cancel selected executions", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Execution]) -> None:
        """Cancel each execution, and show the result for each."""
        user = cast(User, request.user)  # the admin requires a login
        for execution_id in queryset.order_by("created_at", "id").values_list("id", flat=True):
            try:
                executions.cancel_execution(user=user, execution_id=execution_id, now=database_now())
            except DomainError as error:
                self.message_user(request, f"{execution_id}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"{execution_id}: cancelled.", messages.SUCCESS)


def _page(name: str, key: object) -> str:
    return reverse(f"admin:{name}", args=[key])


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    """Worker processes with their heartbeats."""

    list_display = ("name", "started_at", "heartbeat_at")
    ordering = ("-heartbeat_at", "name")
