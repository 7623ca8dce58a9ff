"""Read-only admin pages of documents."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.decorators import display

from common.admin import (
    LongList,
    ReadOnlyAdmin,
    ReadOnlyInline,
    SearchById,
    execution_link,
    links,
    list_of,
    once,
    row_link,
    with_json,
)
from documents.models import Document, DocumentComment, DocumentVersion


class _Made:
    """How tables and pages show what made a version."""

    @admin.display(description="execution", ordering="execution_id")
    def of_execution(self, row: Document | DocumentVersion) -> SafeString | str:
        """Return a link to the execution; a dash if a person made the version."""
        return execution_link(row.execution_id)


class DocumentVersionInline(_Made, ReadOnlyInline):
    """Versions of a document."""

    model = DocumentVersion
    fields = ("version", "title", "step_id", "of_execution", "author_name", "created_at")
    readonly_fields = ("of_execution",)
    ordering = ("-version",)
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[DocumentVersion]:
        """Return the versions without their contents."""
        rows: QuerySet[DocumentVersion] = super().get_queryset(request)
        return rows.defer("content", "provenance")


class DocumentCommentInline(ReadOnlyInline):
    """Comments on a document."""

    model = DocumentComment
    fields = ("number", "document_version", "pointer", "quote", "text", "author_name", "created_at", "resolved_at")
    ordering = ("number",)


@admin.register(Document)
class DocumentAdmin(_Made, SearchById, LongList, ReadOnlyAdmin):
    """Documents."""

    list_display = ("title", "type", "of_scope", "version", "of_execution", "author_name", "is_stale", "updated_at")
    list_filter = ("stale",)
    search_fields = ("title", "scope__key")
    id_fields = ("execution_id",)
    searches_words = True
    list_select_related = ("scope",)
    ordering = ("-updated_at", "-id")
    fieldsets = (
        (None, {"fields": ("title", "type", "of_scope", "version", "last_version", "is_stale", "lists")}),
        ("Origin", {"fields": ("of_execution", "workflow_id", "author_name")}),
        ("When", {"fields": ("created_at", "updated_at", "erased_at")}),
    )
    readonly_fields = ("of_scope", "of_execution", "is_stale", "lists")
    inlines = (DocumentVersionInline, DocumentCommentInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        """Return all documents without what the search reads."""
        rows: QuerySet[Document] = super().get_queryset(request)
        return rows.select_related("scope").defer("search")

    def view_on_site(self, row: Document) -> str:
        """Return the address of the page in the console."""
        return reverse("console:document", args=[row.id])

    @display(description="stale", ordering="stale", label={"stale": "warning"})
    def is_stale(self, row: Document) -> str:
        """Return a badge for stale documents."""
        return "stale" if row.stale else ""

    @admin.display(description="scope", ordering="scope")
    def of_scope(self, row: Document) -> SafeString:
        """Return a link to the scope."""
        return row_link(row.scope)

    @admin.display(description="lists")
    def lists(self, row: Document) -> SafeString:
        """Return links to the page in the console, and to all versions."""
        versions = list_of("documents.documentversion", document__id__exact=row.id)
        return links([(self.view_on_site(row), "Page in the console"), (versions, "Versions")])


@admin.register(DocumentVersion)
class DocumentVersionAdmin(_Made, SearchById, LongList, ReadOnlyAdmin):
    """Versions of documents, with content and provenance."""

    list_display = ("title", "of_document", "version", "of_execution", "step_id", "author_name", "created_at")
    search_fields = ("title",)
    id_fields = ("execution_id",)
    searches_words = True
    ordering = ("-created_at", "-id")
    fieldsets = (
        (None, {"fields": ("title", "of_document", "version", "created_at", "author_name", "note", "proposed")}),
        ("Content", {"fields": ("whole_content",)}),
        ("Origin", {"fields": ("of_execution", "step_id", "origin", "content_hash", "erased_at")}),
    )
    readonly_fields = ("of_document", "of_execution", "whole_content", "origin")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DocumentVersion]:
        """Return all versions with their documents; a list does not read contents."""
        rows: QuerySet[DocumentVersion] = super().get_queryset(request)
        return rows.select_related("document").defer("document__search", "content", "provenance")

    def view_on_site(self, row: DocumentVersion) -> str:
        """Return the address of the version in the console."""
        return f"{reverse('console:document', args=[row.document_id])}?v={row.version}"

    @admin.display(description="document")
    def of_document(self, row: DocumentVersion) -> SafeString:
        """Return a link to the document."""
        return row_link(row.document)

    @admin.display(description="content")
    @once
    def whole_content(self, row: DocumentVersion) -> str:
        """Return the content for reading, and as JSON."""
        return with_json(row.content)

    @admin.display(description="provenance")
    @once
    def origin(self, row: DocumentVersion) -> str:
        """Return the provenance for reading, and as JSON."""
        return with_json(row.provenance)
