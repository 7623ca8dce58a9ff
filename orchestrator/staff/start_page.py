"""The start page of the admin: what runs, fails, waits and costs, and which workers live. Each number leads on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from common.admin import link, list_of, money, short
from common.database.counts import count_text
from common.database.server import database_now
from console.costs.period import Period, first_of_month, last_of_month
from console.scopes.words import waiting
from console.shell import zone_of
from executions.engine.domain.states import ExecutionStatus
from executions.selectors import executions, inbox
from executions.selectors.lists import ExecutionQuery
from telemetry.selectors import summary

MAX_FAILURES = 8
MAX_WORKERS = 20
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of the page."""

    label: str
    value: SafeString | str
    href: str
    note: str = ""
    is_bad: bool = False


def start_page(request: HttpRequest) -> dict[str, Any]:
    """Return what the template shows: only that of which the user may see the lists, too."""
    now, may = database_now(), request.user.has_perm
    tiles: list[Tile] = []
    found: dict[str, Any] = {"tiles": tiles}
    if may("executions.view_execution"):
        tiles += [*_executions(request, now), *_waiting(request, now)]
        found["failures"] = _failures(request, now)
        found["all_failures"] = list_of("executions.execution", status__exact="failed", dry_run="no")
    if may("telemetry.view_modelcall"):
        tiles += _costs(request, now)
    if may("executions.view_workerheartbeat"):
        found["workers"] = _workers(now)
        found["all_workers"] = list_of("executions.workerheartbeat")
    return found


def _executions(request: HttpRequest, now: datetime) -> Iterable[Tile]:
    labels = {
        ExecutionStatus.RUNNING: gettext("Running"),
        ExecutionStatus.PENDING: gettext("In the queue"),
        ExecutionStatus.WAITING: gettext("Waiting"),
        ExecutionStatus.FAILED: gettext("Begun in 24 hours and failed"),
    }
    for status, label in labels.items():
        is_failed = status is ExecutionStatus.FAILED
        query = ExecutionQuery(status=[status.value], dry_run=False, created_after=now - _DAY if is_failed else None)
        number = executions.count_newest(user=request.user, query=query)
        since = {"created_at__gte": (now - _DAY).isoformat()} if is_failed else {}
        address = list_of("executions.execution", status__exact=status.value, dry_run="no", **since)
        yield Tile(label, count_text(number), address, is_bad=is_failed and number > 0)


def _waiting(request: HttpRequest, now: datetime) -> Iterable[Tile]:
    counts = inbox.counts(user=request.user, now=now, dry_run=False)
    for kind, number in counts.items():
        if number:
            label = gettext("Waits for people")
            address = f"{reverse('console:inbox')}?{urlencode({'kind': kind.value})}"
            yield Tile(label, count_text(number), address, note=waiting(kind, number))


def _costs(request: HttpRequest, now: datetime) -> Iterable[Tile]:
    zone = zone_of(request.user)
    today = now.astimezone(zone).date()
    days: dict[str, tuple[date, date]] = {
        gettext("Spent today"): (today, today),
        gettext("Spent this month"): (first_of_month(today), last_of_month(today)),
    }
    for label, (first, last) in days.items():
        period = Period(first, last, zone)
        totals = summary(
            user=request.user, tz=zone, by_workflow=False, since=period.since, until=period.until, dry_run=False
        ).totals
        unknown = totals.unpriced_calls
        note = ngettext("and %d call of unknown cost", "and %d calls of unknown cost", unknown) % unknown
        address = f"{reverse('console:costs')}?{urlencode({'from': first.isoformat(), 'to': last.isoformat()})}"
        yield Tile(label, money(totals.known_cost_usd), address, note=note if unknown else "")


def _failures(request: HttpRequest, now: datetime) -> list[dict[str, Any]]:
    """Return the newest executions that have failed."""
    query = ExecutionQuery(status=[ExecutionStatus.FAILED.value], dry_run=False)
    page = executions.newest_executions(user=request.user, query=query, limit=MAX_FAILURES)
    return [
        {
            "execution": link(
                reverse("admin:executions_execution_change", args=[row.id]),
                format_html("{} {}", row.workflow_id, short(row.id)),
            ),
            "scope": link(reverse("admin:access_scope_change", args=[row.scope_id]), row.scope),
            "at": row.finished_at,
            "why": row.failure_message or row.failure_code,
        }
        for row in page.executions
    ]


def _workers(now: datetime) -> list[dict[str, Any]]:
    """Return the workers with the newest heartbeats."""
    found = executions.newest_workers(limit=MAX_WORKERS)
    silent = timedelta(seconds=settings.WORKER_SILENT_SECONDS)
    return [
        {
            "name": row.name,
            "started_at": row.started_at,
            "heartbeat_at": row.heartbeat_at,
            "is_alive": now - row.heartbeat_at <= silent,
        }
        for row in found
    ]
