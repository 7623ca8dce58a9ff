"""Read-only admin pages of documents."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin, ReadOnlyInline, pretty
from documents.models import Document, DocumentComment, DocumentVersion


class DocumentVersionInline(ReadOnlyInline):
    """Versions of a document."""

    model = DocumentVersion
    fields = ("version", "title", "step_id", "execution_id", "created_at")
    ordering = ("-version",)
    show_change_link = True


class DocumentCommentInline(ReadOnlyInline):
    """Comments on a document."""

    model = DocumentComment
    fields = ("number", "document_version", "pointer", "quote", "text", "author_name", "created_at", "resolved_at")
    ordering = ("number",)


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """Documents."""

    list_display = ("title", "type", "scope", "version", "status", "updated_at")
    list_filter = ("type", "status")
    search_fields = ("title", "scope__key", "execution_id")
    list_select_related = ("scope",)
    ordering = ("-updated_at", "-id")
    inlines = (DocumentVersionInline, DocumentCommentInline)


@admin.register(DocumentVersion)
class DocumentVersionAdmin(ReadOnlyAdmin):
    """Versions of documents, with content and provenance."""

    list_display = ("title", "document", "version", "step_id", "created_at")
    list_select_related = ("document",)
    search_fields = ("title", "execution_id")
    ordering = ("-created_at", "-id")
    fields = ("document", "version", "title", "execution_id", "step_id", "created_at", "whole_content", "origin")
    readonly_fields = ("whole_content", "origin")

    @admin.display(description="content")
    def whole_content(self, row: DocumentVersion) -> str:
        """Return the content as indented JSON."""
        return pretty(row.content)

    @admin.display(description="provenance")
    def origin(self, row: DocumentVersion) -> str:
        """Return the provenance as indented JSON."""
        return pretty(row.provenance)
