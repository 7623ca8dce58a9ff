"""Read-only admin pages of workflows."""

from __future__ import annotations

import yaml
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from common.admin import LongList, ReadOnlyAdmin, ReadOnlyInline, links, list_of, once, row_link
from workflows.models import Workflow, WorkflowVersion


class WorkflowVersionInline(ReadOnlyInline):
    """Versions of a workflow."""

    model = WorkflowVersion
    fields = ("version", "content_hash", "published_at", "published_by", "is_candidate")
    ordering = ("-version",)
    show_change_link = True


@admin.register(Workflow)
class WorkflowAdmin(ReadOnlyAdmin):
    """Published workflows."""

    list_display = ("id", "name", "step_count", "version", "updated_at")
    search_fields = ("id", "name")
    ordering = ("id",)
    fieldsets = (
        (None, {"fields": ("id", "name", "description", "step_count", "version", "lists")}),
        ("When", {"fields": ("updated_at", "retired_at")}),
    )
    readonly_fields = ("lists",)
    inlines = (WorkflowVersionInline,)

    def view_on_site(self, row: Workflow) -> str:
        """Return the address of the page in the console."""
        return reverse("console:workflow", args=[row.id])

    @admin.display(description="lists")
    def lists(self, row: Workflow) -> SafeString:
        """Return links to everything of the workflow."""
        found = [
            (self.view_on_site(row), "Page in the console"),
            (list_of("executions.execution", workflow_id=row.id), "Executions"),
            (list_of("documents.document", workflow_id=row.id), "Documents"),
            (list_of("telemetry.modelcall", workflow_id=row.id), "Calls"),
        ]
        return links(found)


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(LongList, ReadOnlyAdmin):
    """One published definition."""

    list_display = ("of_workflow", "version", "short_hash", "published_at", "candidate")
    list_display_links = ("version",)
    list_filter = ("is_candidate",)
    search_fields = ("workflow__id",)
    ordering = ("workflow", "-version")
    fields = ("of_workflow", "version", "content_hash", "published_at", "published_by", "executions", "text")
    readonly_fields = ("of_workflow", "executions", "text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowVersion]:
        """Return all versions; a list does not read their definitions."""
        rows: QuerySet[WorkflowVersion] = super().get_queryset(request)
        return rows.select_related("workflow", "published_by").defer("definition")

    @admin.display(description="workflow", ordering="workflow")
    def of_workflow(self, row: WorkflowVersion) -> SafeString:
        """Return a link to the workflow."""
        return row_link(row.workflow, row.workflow_id)

    @display(description="candidate", label={"candidate": "info"})
    def candidate(self, row: WorkflowVersion) -> str:
        """Return a badge for a definition that was tried and not published."""
        return "candidate" if row.is_candidate else ""

    @admin.display(description="content hash")
    def short_hash(self, row: WorkflowVersion) -> SafeString:
        """Return the begin of the hash, with the whole hash as its title."""
        return format_html('<span title="{}">{}…</span>', row.content_hash, row.content_hash[:8])

    @admin.display(description="lists")
    def executions(self, row: WorkflowVersion) -> SafeString:
        """Return links to the executions of the version, and to its page in the console."""
        page = f"{reverse('console:workflow', args=[row.workflow_id])}?v={row.version}"
        started = list_of("executions.execution", workflow_version__id__exact=row.pk)
        return links([(page, "Page in the console"), (started, "Executions")])

    @admin.display(description="definition")
    @once
    def text(self, row: WorkflowVersion) -> str:
        """Return the definition as YAML, which is what authors write."""
        shown = yaml.safe_dump(row.definition, sort_keys=False, allow_unicode=True, width=100)
        return format_html('<pre style="white-space: pre-wrap; max-width: 70rem">{}</pre>', shown)
