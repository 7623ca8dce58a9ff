"""The page of costs. It calls the same selectors as the API, so that it shows a person the same sums."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from rest_framework.exceptions import ValidationError

from common.api.pagination import encode_cursor, page_start
from common.database.server import database_now
from common.errors import Malformed, NotFound
from console.costs.addresses import Address
from console.costs.budgets import budgets_of_month
from console.costs.forecast import forecast
from console.costs.forms import DRY_RUN, CostsForm
from console.costs.groups import GROUPS
from console.costs.period import Period, first_of_month, next_month
from console.costs.report import Report, report, sums_of
from console.shell import page_view, show_page, zone_of
from executions.selectors.costs import WorkflowStats, workflow_stats
from executions.selectors.executions import executions
from telemetry import breakdown
from telemetry.selectors import UnknownCosts

PAGE_SIZE = 25  # executions
MAX_BUDGETS = 8


@page_view
def costs(request: HttpRequest) -> HttpResponse:
    """Render the costs of a period: by day and group, budgets, and the executions of a sum if they are asked for."""
    now = database_now()
    zone = zone_of(request.user)
    form = CostsForm(request.GET, today=now.astimezone(zone).date(), zone=zone)
    shown = _shown(request, form, now) if form.is_valid() else {}
    form.show_period()
    return show_page(request, "console/costs/costs.html", section="costs", form=form, **shown)


def _shown(request: HttpRequest, form: CostsForm, now: datetime) -> dict[str, Any]:
    address = Address(period=form.period, group=form.group, filters=form.filters)
    asked = {"user": request.user, **_arguments(form.filters)}
    within: dict[str, Any] = {"since": form.period.since, "until": form.period.until}
    found = report(sums_of(address, **within, **asked), address)
    return {
        "address": address,
        "report": found,
        "groups": [(name, group.title, address.page(group=name)) for name, group in GROUPS.items()],
        "group": GROUPS[form.group],
        "chips": [(form[name].label, form.shown(name), address.page(without=name)) for name in form.filters],
        "unknown": _unknown(found, address, asked),
        "unknown_href": address.executions(unknown=True),
        "forecast": forecast(found.cost_by_day, now=now, zone=form.zone) if form.shows_running_month else None,
        **_budgets(request, form, now),
        "stats": _statistics(request, form),
        "csv": address.csv(),
        **_months(form, address),
        **_executions(request, address, {**within, **asked}),
    }


def _arguments(filters: dict[str, str]) -> dict[str, Any]:
    """Return filters of the address as arguments of selectors."""
    given: dict[str, Any] = {**filters, "dry_run": DRY_RUN[filters.get("dry_run", "exclude")]}
    if "user" in given:
        given["started_by"] = given.pop("user")
    if "model" in given:
        provider, _, model = given["model"].partition(":")
        given["model"] = (provider, model)
    return given


def _months(form: CostsForm, address: Address) -> dict[str, Any]:
    """Return the addresses of the months before and after."""
    before = first_of_month(form.period.first) - timedelta(days=1)
    after = next_month(form.period.last)
    return {
        "month_before": (before, address.month(before)),
        "month_after": (after, address.month(after)) if after <= form.today else None,
        "this_month": "" if form.shows_running_month else address.month(form.today),
    }


def _unknown(found: Report, address: Address, asked: dict[str, Any]) -> UnknownCosts | None:
    """Return the calls of unknown cost; None: there are none."""
    if not found.unknown_days:
        return None
    days = [Period(day, day, address.period.zone) for day in found.unknown_days]
    return breakdown.unknown_costs(spans=[(day.since, day.until) for day in days], **asked)


def _budgets(request: HttpRequest, form: CostsForm, now: datetime) -> dict[str, Any]:
    """Return the budgets of this month. They count all calls of a scope, so other filters hide them."""
    names = ("scope_type", "scope_id")
    if form.filters.keys() - {*names} or not form.period.since <= now < form.period.until:
        return {}
    scope = {name: form.filters.get(name) for name in names}
    return budgets_of_month(request.user, now, most=MAX_BUDGETS, **scope)


def _statistics(request: HttpRequest, form: CostsForm) -> WorkflowStats | None:
    """Return the statistics of the workflow that the filters name; None: they name none that there is."""
    if "workflow_id" not in form.filters:
        return None
    try:
        return workflow_stats(user=request.user, workflow_id=form.filters["workflow_id"])
    except NotFound:
        return None


def _executions(request: HttpRequest, address: Address, asked: dict[str, Any]) -> dict[str, Any]:
    """Return a page of the executions of the sum, if the address asks for them."""
    if request.GET.get("show") != "executions":
        return {}
    only_unknown = request.GET.get("cost") == "unknown"
    first = address.executions(unknown=only_unknown)
    try:
        after = page_start(request.GET, breakdown.BY_COST, of=first)
    except ValidationError as error:
        raise Malformed(gettext("The address has a place of another list.")) from error
    page = breakdown.executions_of_sum(limit=PAGE_SIZE, after=after, only_unknown=only_unknown, **asked)
    known = _by_id(request, [each.execution_id for each in page.executions])
    path, _, fragment = first.partition("#")
    return {
        "shares": [(each, known.get(each.execution_id)) for each in page.executions],
        "lists_executions": True,
        "only_unknown": only_unknown,
        "without_list": address.page(),
        "first_page": "" if after is None else first,
        "next_page": f"{path}&cursor={quote(encode_cursor(page.next, of=first))}#{fragment}" if page.next else "",
    }


def _by_id(request: HttpRequest, ids: list[Any]) -> dict[Any, Any]:
    """Return the executions that there are."""
    return {row.id: row for row in executions(user=request.user).filter(id__in=ids)}
