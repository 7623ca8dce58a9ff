"""Paths of one execution."""

from __future__ import annotations

from django.urls import path

from console.execution_pages import acts, brief_pages, frame
from console.execution_pages.calls import pages, tab_pages

urlpatterns = [
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
    path("executions/<uuid:execution_id>/parts/header/", frame.header_part, name="part-execution-header"),
    path("executions/<uuid:execution_id>/cancel/", acts.cancel, name="execution-cancel"),
    path("executions/<uuid:execution_id>/retry/", acts.retry, name="execution-retry"),
]
