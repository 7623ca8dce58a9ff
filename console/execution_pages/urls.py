"""Paths of one execution."""

from __future__ import annotations

from django.urls import path

from console.execution_pages import acts, brief_pages, frame
from console.execution_pages.timeline import pages as timeline

urlpatterns = [
    path("executions/<uuid:execution_id>/timeline/", timeline.timeline, name="execution-timeline"),
    path("executions/<uuid:execution_id>/parts/times/", timeline.times_part, name="part-execution-times"),
    path("executions/<uuid:execution_id>/parts/log/", timeline.log_part, name="part-execution-log"),
    path("executions/<uuid:execution_id>/brief/", brief_pages.brief, name="execution-brief"),
    path("executions/<uuid:execution_id>/parts/header/", frame.header_part, name="part-execution-header"),
    path("executions/<uuid:execution_id>/cancel/", acts.cancel, name="execution-cancel"),
    path("executions/<uuid:execution_id>/retry/", acts.retry, name="execution-retry"),
]
