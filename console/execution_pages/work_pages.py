"""The tab with the work of an execution, and the part of it that follows events."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from common.database.server import database_now
from console.execution_pages.frame import TABS, Header, show_tab
from console.execution_pages.waits import entries_of
from console.execution_pages.work import work_of
from console.shell import page_view, part_view
from executions.selectors import inbox


def _read(request: HttpRequest, execution_id: UUID) -> dict[str, Any]:
    now = database_now()
    within = inbox.reach(request.user, now)
    entries = entries_of(request, execution_id, now=now, within=within)
    header = Header.read(request, execution_id, within=within, entries=entries)
    return {"header": header, "work": work_of(header.execution, entries)}


@page_view
def work(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the tab."""
    return show_tab(request, template="console/execution_pages/work.html", tab="work", **_read(request, execution_id))


@part_view
def work_part(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the header and the work, by one request for each update."""
    found = _read(request, execution_id)
    shown = {**found, "execution": found["header"].execution, "tabs": TABS, "tab": "work", "is_part": True}
    return render(request, "console/execution_pages/work_part.html", shown)
