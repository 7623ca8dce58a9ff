"""Read-only admin pages of workflows."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin, ReadOnlyInline, pretty
from workflows.models import Workflow, WorkflowVersion


class WorkflowVersionInline(ReadOnlyInline):
    """Versions of a workflow."""

    model = WorkflowVersion
    fields = ("version", "content_hash", "published_at")
    ordering = ("-version",)
    show_change_link = True


@admin.register(Workflow)
class WorkflowAdmin(ReadOnlyAdmin):
    """Published workflows."""

    list_display = ("id", "name", "step_count", "version", "updated_at")
    search_fields = ("id", "name")
    ordering = ("id",)
    inlines = (WorkflowVersionInline,)


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnlyAdmin):
    """One published definition."""

    list_display = ("workflow", "version", "content_hash", "published_at")
    ordering = ("workflow", "-version")
    fields = ("workflow", "version", "content_hash", "published_at", "published_by", "whole_definition")
    readonly_fields = ("whole_definition",)

    @admin.display(description="definition")
    def whole_definition(self, row: WorkflowVersion) -> str:
        """Return the definition as indented JSON."""
        return pretty(row.definition)
