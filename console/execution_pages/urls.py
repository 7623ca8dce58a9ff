"""Paths of one execution."""

from __future__ import annotations

from django.urls import path

from console.execution_pages import acts, brief_pages, document_tab, frame, item_pages, retry_pages, work_pages
from console.execution_pages.calls import pages, tab_pages
from console.execution_pages.timeline import pages as timeline

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
    path("executions/<uuid:execution_id>/timeline/", timeline.timeline, name="execution-timeline"),
    path("executions/<uuid:execution_id>/parts/times/", timeline.times_part, name="part-execution-times"),
    path("executions/<uuid:execution_id>/parts/log/", timeline.log_part, name="part-execution-log"),
    path("executions/<uuid:execution_id>/brief/", brief_pages.brief, name="execution-brief"),
    path("executions/<uuid:execution_id>/calls/", tab_pages.calls, name="execution-calls"),
    path("executions/<uuid:execution_id>/calls/<uuid:call_id>/", pages.call, name="execution-call"),
    path("executions/<uuid:execution_id>/steps/<str:step_id>/", pages.step, name="execution-step"),
    path(
        "executions/<uuid:execution_id>/steps/<str:step_id>/compare/",
        pages.compare_attempts,
        name="execution-compare-attempts",
    ),
    path("executions/<uuid:execution_id>/parts/steps/<str:step_id>/", pages.step_part, name="part-execution-step"),
    path("executions/<uuid:execution_id>/budget/", tab_pages.change_limits, name="execution-budget"),
    path("executions/<uuid:execution_id>/parts/costs/", tab_pages.sums_part, name="part-execution-costs"),
    path("executions/<uuid:execution_id>/parts/calls/", tab_pages.list_part, name="part-execution-calls"),
    path("executions/<uuid:execution_id>/parts/said/", brief_pages.said, name="part-execution-said"),
    path("executions/<uuid:execution_id>/parts/header/", frame.header_part, name="part-execution-header"),
    path("executions/<uuid:execution_id>/cancel/", acts.cancel, name="execution-cancel"),
    path("executions/<uuid:execution_id>/retry/", retry_pages.retry, name="execution-retry"),
]
