"""The tab with the times of an execution and its log."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from common.database.server import database_now
from console.execution_pages.frame import Header, show_tab
from console.execution_pages.timeline.log import LogPage
from console.execution_pages.timeline.rows import Times
from console.shell import page_view, part_view
from executions.selectors import executions


@page_view
def timeline(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the tab."""
    now = database_now()
    header = Header.read(request, execution_id)
    times = Times.read(request, header.execution, now=now)
    log = LogPage.read(request, header.execution, times.steps)
    return show_tab(request, header, "console/execution_pages/timeline/tab.html", tab="timeline", times=times, log=log)


@part_view
def times_part(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the times, which follow events."""
    row = executions.execution(user=request.user, execution_id=execution_id)
    shown = {"execution": row, "times": Times.read(request, row, now=database_now())}
    return render(request, "console/execution_pages/timeline/times.html", shown)


@part_view
def log_part(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the log, which follows events."""
    row = executions.execution(user=request.user, execution_id=execution_id)
    shown = {"execution": row, "log": LogPage.read(request, row)}
    return render(request, "console/execution_pages/timeline/log.html", shown)
