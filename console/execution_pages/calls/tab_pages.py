"""The tab with calls and costs of an execution: sums, its budget, and the list of calls."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext

from access.idempotency import run_form_once
from access.permissions import NEEDED_ROLE, Action
from common.database.server import database_now
from common.errors import Conflict, Invalid
from console.edit_pages import person
from console.execution_pages.calls.budgets import BudgetView, LimitsForm
from console.execution_pages.calls.lists import CallList
from console.execution_pages.frame import Header, show_tab
from console.shell import form_view, page_view, part_view, stored
from executions.selectors import costs, executions
from executions.services.budgets import change_budget
from executions.services.locking import check_role


@page_view
def calls(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the tab."""
    header = Header.read(request, execution_id)
    return _tab(request, header)


def _tab(request: HttpRequest, header: Header, *, form: LimitsForm | None = None, **shown: Any) -> HttpResponse:
    sums = costs.cost_sums(header.execution)
    budget = BudgetView.of(header.row.details, sums.blocked)
    return show_tab(
        request,
        header,
        "console/execution_pages/calls/tab.html",
        tab="calls",
        budget=budget,
        limits_form=form or LimitsForm(limits=budget.limits),
        sums=sums,
        listed=CallList.read(request, header.execution),
        **shown,
    )


@part_view
def sums_part(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the sums and the limits, which follow events."""
    details = executions.details(user=request.user, execution_id=execution_id)
    sums = costs.cost_sums(details.execution)
    shown = {"execution": details.execution, "sums": sums, "budget": BudgetView.of(details, sums.blocked)}
    return render(request, "console/execution_pages/calls/sums.html", shown)


@part_view
def list_part(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the list of calls, which follows events."""
    execution = executions.execution(user=request.user, execution_id=execution_id)
    shown = {"execution": execution, "listed": CallList.read(request, execution)}
    return render(request, "console/execution_pages/calls/list.html", shown)


@form_view
def change_limits(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Change limits of the execution, or show the form again. What is not changed stays as another person left it."""
    header = Header.read(request, execution_id)
    if request.method != "POST":
        return _tab(request, header, is_changing=True)
    user = person(request)
    check_role(user, execution_id, NEEDED_ROLE[Action.BUDGET])
    form = LimitsForm(request.POST, limits=BudgetView.of(header.row.details, ()).limits)
    if request.POST.get("show"):
        return _tab(request, header, form=form, is_changing=True, is_sent=True)

    def act() -> int:  # a form that is sent twice is not checked against what it has changed
        if not form.is_valid():
            raise Invalid
        wanted = form.cleaned_data
        return change_budget(user=user, execution_id=execution_id, limits=wanted, now=database_now()).version

    try:
        run_form_once(request, act)
    except (Invalid, Conflict) as error:
        if form.is_valid():
            form.add_error(None, gettext(error.explanation))
    else:
        return stored(request, reverse("console:execution-calls", args=[execution_id]))
    form.show_current()
    return _tab(request, header, form=form, status=422, is_changing=True, is_sent=True)
