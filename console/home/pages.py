"""The first page: what waits for the reader, what runs and fails, what is spent, and what is new. It only leads on."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from access.selectors import reading_roles_once
from common.database.server import database_now
from console.costs.budgets import budgets_of_month
from console.costs.period import Period, first_of_month, last_of_month, start_of
from console.scopes.words import waiting
from console.shell import count_text, page_view, part_view, show_page, zone_of
from documents.search.lists import DocumentQuery
from documents.search.pages import newest_page
from executions.engine.domain.states import ExecutionStatus
from executions.selectors import executions, inbox
from executions.selectors.lists import ExecutionQuery
from telemetry.selectors import summary

MAX_DOCUMENTS = 5
MAX_BUDGETS = 5


@page_view
def home(request: HttpRequest) -> HttpResponse:
    """Render the page."""
    with reading_roles_once(request.user):
        now = database_now()
        within = inbox.reach(request.user, now)
        found = _found(request, now, within)
        return show_page(
            request, "console/home/home.html", section="home", count=found["waiting"], within=within, **found
        )


@part_view
def board(request: HttpRequest) -> HttpResponse:
    """Render what the page shows."""
    with reading_roles_once(request.user):
        now = database_now()
        return render(request, "console/home/board.html", _found(request, now, inbox.reach(request.user, now)))


def _found(request: HttpRequest, now: datetime, within: inbox.Reach) -> dict[str, Any]:
    user, zone = request.user, zone_of(request.user)
    today = now.astimezone(zone).date()
    month = Period(first_of_month(today), last_of_month(today), zone)
    asked: dict[str, Any] = {"user": user, "now": now, "within": within, "dry_run": False}
    counts = inbox.counts(**asked)
    spent = summary(user=user, tz=zone, by_workflow=False, since=month.since, until=month.until)
    alive = executions.workers_alive(since=now - timedelta(seconds=settings.WORKER_SILENT_SECONDS))
    return {
        "waiting": count_text(sum(counts.values())),
        "kinds": [
            (count_text(number), waiting(kind, number), f"{reverse('console:inbox')}?kind={kind.value}")
            for kind, number in counts.items()
            if number
        ],
        "running": _counted(request, status=ExecutionStatus.RUNNING),
        "pending": _counted(request, status=ExecutionStatus.PENDING),
        "failed": _counted(request, status=ExecutionStatus.FAILED, since=today - timedelta(days=1)),
        "spent": spent.totals,
        "month": month.first,
        "documents": newest_page(user=user, query=DocumentQuery(), limit=MAX_DOCUMENTS, after=None).documents,
        "workers": count_text(alive),
        **budgets_of_month(user, now, most=MAX_BUDGETS),
    }


def _counted(request: HttpRequest, *, status: ExecutionStatus, since: date | None = None) -> dict[str, str]:
    """Return the number of executions, exact to 100 and without dry runs, and the address of their list."""
    begin = None if since is None else start_of(since, zone_of(request.user))
    query = ExecutionQuery(status=[status.value], dry_run=False, created_after=begin)
    number = executions.count_newest(user=request.user, query=query)
    days = {} if since is None else {"created_after": since.isoformat()}
    given = urlencode({"status": status.value, "dry_run": "false", **days})
    return {"number": count_text(number), "href": f"{reverse('console:executions')}?{given}"}
