"""Paths of one execution."""

from __future__ import annotations

from django.urls import path

from console.execution_pages import acts, brief_pages, document_tab, frame, item_pages, retry_pages, work_pages

urlpatterns = [
    path("executions/<uuid:execution_id>/", work_pages.work, name="execution"),
    path("executions/<uuid:execution_id>/parts/work/", work_pages.work_part, name="part-execution-work"),
    path("executions/<uuid:execution_id>/documents/", document_tab.execution_documents, name="execution-documents"),
    path("executions/<uuid:execution_id>/steps/<slug:slug>/items/", item_pages.items, name="execution-items"),
    path(
        "executions/<uuid:execution_id>/steps/<slug:slug>/items/parts/rows/",
        item_pages.item_rows,
        name="part-execution-items",
    ),
    path(
        "executions/<uuid:execution_id>/steps/<slug:slug>/items/accept/", item_pages.accept_items, name="accept-items"
    ),
    path("executions/<uuid:execution_id>/brief/", brief_pages.brief, name="execution-brief"),
    path("executions/<uuid:execution_id>/parts/header/", frame.header_part, name="part-execution-header"),
    path("executions/<uuid:execution_id>/cancel/", acts.cancel, name="execution-cancel"),
    path("executions/<uuid:execution_id>/retry/", retry_pages.retry, name="execution-retry"),
]
