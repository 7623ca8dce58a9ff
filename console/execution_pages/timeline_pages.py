"""The tab with the times of an execution and its log."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from console.execution_pages.frame import Header, show_tab
from console.execution_pages.log import LogPage
from console.shell import page_view, part_view
from executions.selectors import executions


@page_view
def timeline(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the tab."""
    header = Header.read(request, execution_id)
    log = LogPage.read(request, header.execution)
    return show_tab(request, header, "console/execution_pages/timeline.html", tab="timeline", log=log)


@part_view
def log_part(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the log, which follows events."""
    row = executions.execution(user=request.user, execution_id=execution_id)
    shown = {"execution": row, "log": LogPage.read(request, row)}
    return render(request, "console/execution_pages/log.html", shown)
