"""Paths of one execution."""

from __future__ import annotations

from django.urls import path

from console.execution_pages import acts, brief_pages, frame, timeline_pages

urlpatterns = [
    path("executions/<uuid:execution_id>/timeline/", timeline_pages.timeline, name="execution-timeline"),
    path("executions/<uuid:execution_id>/parts/log/", timeline_pages.log_part, name="part-execution-log"),
    path("executions/<uuid:execution_id>/brief/", brief_pages.brief, name="execution-brief"),
    path("executions/<uuid:execution_id>/parts/header/", frame.header_part, name="part-execution-header"),
    path("executions/<uuid:execution_id>/cancel/", acts.cancel, name="execution-cancel"),
    path("executions/<uuid:execution_id>/retry/", acts.retry, name="execution-retry"),
]
