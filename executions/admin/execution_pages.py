"""Executions in the admin: view and cancel."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from access.user import User
from common.admin import (
    LongList,
    ReadOnlyAdmin,
    SearchById,
    first_rows,
    in_line,
    link,
    links,
    list_of,
    money,
    once,
    pretty,
    row_link,
    short,
    table,
    with_json,
)
from common.database.server import database_now
from common.errors import DomainError
from documents import selectors as documents
from executions.admin.step_pages import COLOURS, ExecutionEventInline, ExecutionStepInline
from executions.models import Execution
from executions.services import executions
from telemetry import selectors as telemetry
from workflows import selectors as workflows

_DRY_RUN = {"dry run": "warning"}
_IS_DRY_RUN = ExpressionWrapper(Q(script__isnull=False), output_field=BooleanField())


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


class WorkflowFilter(admin.SimpleListFilter):
    """Filters by workflow, without reading which workflows the executions have."""

    title = "workflow"
    parameter_name = "workflow_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the options."""
        return [(each, each) for each in workflows.workflows().order_by("id").values_list("id", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        """Return the executions of the selected workflow."""
        return queryset if self.value() is None else queryset.filter(workflow_id=self.value())


@admin.register(Execution)
class ExecutionAdmin(SearchById, LongList, ReadOnlyAdmin):
    """Executions with their steps, events, documents and calls."""

    list_display = ("name", "state", "dry_run", "of_scope", "started_by", "created_at", "finished_at", "console_page")
    list_display_links = ("name",)
    list_filter = ("status", DryRunFilter, WorkflowFilter, "scope__type", "created_at")
    search_fields = ("workflow_id", "scope__key", "requested_by_name")
    id_fields = ("id",)
    searches_words = True
    ordering = ("-created_at", "-id")
    actions = ("cancel",)
    inlines = (ExecutionStepInline, ExecutionEventInline)
    readonly_fields = (
        *("state", "dry_run", "rehearsal", "brief", "made_documents", "model_calls", "limits"),
        *("of_scope", "of_workflow", "started_by", "lists", "waits_for", "words"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        """Return all executions with their scopes, without the workflow definitions; a list does not read briefs."""
        rows: QuerySet[Execution] = super().get_queryset(request)  # `list_select_related` would be ignored
        rows = rows.select_related("workflow_version", "scope").annotate(is_dry_run=_IS_DRY_RUN)
        return rows.defer("workflow_version__definition", "input", "script")

    def get_fieldsets(self, request: HttpRequest, obj: Execution | None = None) -> list[tuple[str | None, Any]]:
        """Return the panels that the user has permission to view."""
        times = ("created_at", "started_at", "resume_at", "finished_at", "updated_at")
        panels: list[tuple[str | None, Any]] = [
            (None, {"fields": ("id", "of_workflow", "state", "dry_run", "waits_for", "lists")}),
            ("Start", {"fields": ("of_scope", "started_by", "words", "limits", "brief")}),
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

    @display(description="status", label=COLOURS, ordering="status")
    def state(self, row: Execution) -> str:
        """Return the status for display as a badge."""
        return str(row.status)

    @display(description="dry run", label=_DRY_RUN)
    def dry_run(self, row: Any) -> str:
        """Return a badge for dry runs."""
        return "dry run" if row.is_dry_run else ""

    @admin.display(description="script")
    @once
    def rehearsal(self, row: Execution) -> str:
        """Return the script of a dry run as indented JSON."""
        return pretty(row.script)

    def view_on_site(self, row: Execution) -> str:
        """Return the address of the page in the console."""
        return reverse("console:execution", args=[row.id])

    @admin.display(description="execution", ordering="workflow_id")
    def name(self, row: Execution) -> str:
        """Return the workflow, and the end of the id."""
        return in_line(format_html("{} {}", row.workflow_id, short(row.id)))

    @admin.display(description="console")
    def console_page(self, row: Execution) -> str:
        """Return a link to the page in the console."""
        return link(self.view_on_site(row), "watch")

    @admin.display(description="scope", ordering="scope")
    def of_scope(self, row: Execution) -> str:
        """Return a link to the scope."""
        return row_link(row.scope)

    @admin.display(description="workflow")
    def of_workflow(self, row: Execution) -> str:
        """Return a link to the version of the workflow."""
        return row_link(row.workflow_version, f"{row.workflow_id}, version {row.workflow_version.version}")

    @admin.display(description="started by", ordering="requested_by_name")
    def started_by(self, row: Execution) -> str:
        """Return a link to the user; without an account, the name."""
        if row.requested_by_id is None:
            return row.requested_by_name or "-"
        return link(reverse("admin:access_user_change", args=[row.requested_by_id]), row.requested_by_name)

    @admin.display(description="lists")
    def lists(self, row: Execution) -> SafeString:
        """Return links to everything of the execution."""
        found = [
            (self.view_on_site(row), "Page in the console"),
            (list_of("executions.executionstep", execution__id__exact=row.id), "Steps"),
            (list_of("executions.executionevent", execution__id__exact=row.id), "Events"),
            (list_of("documents.documentversion", execution_id__exact=row.id), "Documents"),
            (list_of("telemetry.modelcall", execution_id__exact=row.id), "Calls"),
        ]
        return links(found)

    @admin.display(description="waits for")
    def waits_for(self, row: Execution) -> str:
        """Return what the execution waits for."""
        return ", ".join(row.waiting_on) or "-"

    @admin.display(description="tags")
    def words(self, row: Execution) -> str:
        """Return the tags."""
        return ", ".join(row.tags) or "-"

    @admin.display(description="budget")
    @once
    def limits(self, row: Execution) -> str:
        """Return the limits of the execution."""
        return with_json(row.budget) if row.budget else "none"

    @admin.display(description="brief")
    @once
    def brief(self, row: Execution) -> str:
        """Return the brief as text."""
        if row.input is None:
            return "none"
        if isinstance(row.input, str):
            return format_html('<div style="white-space: pre-wrap; max-width: 70rem">{}</div>', row.input)
        return with_json(row.input)

    @admin.display(description="documents")
    @once
    def made_documents(self, row: Execution) -> str:
        """Return a table of the first documents of the execution, with links."""
        everything = list_of("documents.documentversion", execution_id__exact=row.id)
        found, more = first_rows(documents.made_by(row.id).defer("content", "provenance"), all_at=everything)
        made = [
            (each.document.type, row_link(each, each.title), each.version, each.step_id, each.created_at)
            for each in found
        ]
        return format_html("{}{}", table(("type", "title", "version", "step", "created at"), made), more)

    @admin.display(description="calls to models")
    @once
    def model_calls(self, row: Execution) -> str:
        """Return a table of the first calls to models with links, and the totals of all."""
        everything = list_of("telemetry.modelcall", execution_id__exact=row.id)
        found, more = first_rows(telemetry.calls_of(row.id).defer("reply"), all_at=everything)
        calls: list[tuple[object, ...]] = [
            (
                row_link(call, call.step_id),
                call.attempt,
                call.kind,
                call.status,
                call.requested_model,
                f"{telemetry.total_of_call(call).total_tokens:,}",
                money(call.cost_usd),
            )
            for call in found
        ]
        if calls:
            whole = telemetry.execution_totals(row.id)
            unknown = f", and {whole.unpriced_calls} calls with unknown cost" if whole.unpriced_calls else ""
            cost = format_html("{}{}", money(whole.known_cost_usd), unknown)
            calls.append((f"all {whole.calls:,}", "", "", "", "", f"{whole.total_tokens:,}", cost))
        titles = ("step", "attempt", "kind", "status", "model", "tokens", "cost")
        return format_html("{}{}", table(titles, calls), more)

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
