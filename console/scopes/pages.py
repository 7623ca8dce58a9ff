"""Pages of scopes: the list, and one scope with what waits, its budget and the scopes below."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext

from access.permissions import Action
from access.selectors import root_in_path
from common.database.server import database_now
from common.errors import NotFound, PreconditionFailed
from console.edit_pages import person, version_in
from console.forms import plain_number
from console.scopes.acts import act_once
from console.scopes.addresses import page_of, path_of_scope, query_of_scope
from console.scopes.forms import BudgetForm, ScopeSearchForm
from console.scopes.words import waiting as waiting_words
from console.shell import count_text, form_view, page_view, part_view, show_page, stream_of
from executions.engine.domain.states import InboxKind
from executions.selectors import inbox, scopes
from executions.services.scope_budgets import change_scope_budget

PAGE_SIZE = 25
MAX_WAITING = 5  # that the page of a scope names


@page_view
def listing(request: HttpRequest) -> HttpResponse:
    """Render the list of root scopes: the user's role, counts, and a search."""
    form = ScopeSearchForm(request.GET)
    found, following = [], ""
    if form.is_valid():
        rows = scopes.roots(user=request.user, q=form.cleaned_data["q"] or None)
        page, following = page_of(rows, request, ordering=("type", "key"), limit=PAGE_SIZE)
        found = scopes.with_counts(page, user=request.user)
    return show_page(
        request,
        "console/scopes/list.html",
        section="scopes",
        form=form,
        found=[_row(each) for each in found],
        next=following,
        is_first="cursor" not in request.GET,
    )


def _row(summary: scopes.ScopeSummary) -> dict[str, Any]:
    may_invite = Action.INVITE in summary.may
    return {
        "summary": summary,
        "path": path_of_scope(summary.scope),
        "people": path_of_scope(summary.scope, people=True) if may_invite else "",
        "running": summary.executions["running"] + summary.executions["pending"],
        "executions": sum(summary.executions.values()),
    }


@form_view
def scope(request: HttpRequest, scope_type: str, scope_id: str) -> HttpResponse:
    """Render one root scope."""
    return _show(request, scope_type, scope_id)


@form_view
def set_budget(request: HttpRequest) -> HttpResponse:
    """Set the monthly budget of a scope, or remove it."""
    form = BudgetForm(request.POST)

    def store() -> str:
        expected = {version_in(request, "If-Match")} if request.POST.get("If-Match") else None
        change_scope_budget(
            user=person(request),
            max_cost_usd=form.cleaned_data["max_cost_usd"],
            expected_versions=expected,
            now=database_now(),
            **form.place,
        )
        return gettext("The budget was stored.")

    try:
        told = act_once(request, form, action=Action.SET_BUDGET, act=store)
    except PreconditionFailed:
        told = ""
        form.add_error("max_cost_usd", gettext("Another owner has changed the budget meanwhile. Nothing was stored."))
    return _show(request, form.data["scope_type"], form.data["scope_id"], budget_form=form, told=told)


def _show(
    request: HttpRequest, scope_type: str, scope_id: str, *, budget_form: BudgetForm | None = None, told: str = ""
) -> HttpResponse:
    details = scopes.scope_details(user=request.user, scope_type=scope_type, scope_key=scope_id, now=database_now())
    root = details.summary.scope
    parent = _parent(request, root)
    rows, following = page_of(
        scopes.children(root, parent=parent.id), request, ordering=("type", "key"), limit=PAGE_SIZE
    )
    most = details.budget.max_cost_usd
    given = {
        "scope_type": root.type,
        "scope_id": root.key,
        "max_cost_usd": "" if most is None else plain_number(most),
    }
    failed = budget_form is not None and bool(budget_form.errors)
    return show_page(
        request,
        "console/scopes/scope.html",
        status=422 if failed else 200,
        section="scopes",
        details=details,
        scope=root,
        may={each.value: True for each in details.summary.may},
        parent=parent,
        children=scopes.child_summaries(rows),
        next=following,
        is_first="cursor" not in request.GET,
        path=path_of_scope(root),
        people=path_of_scope(root, people=True),
        scope_query=query_of_scope(root),
        stream=stream_of(root),
        statuses=[(name, number) for name, number in details.summary.executions.items() if number],
        share=_share(details.budget),
        form=budget_form if failed else BudgetForm(initial=given),
        told=told,
        has_joined="joined" in request.GET,
    )


def _parent(request: HttpRequest, root: Any) -> Any:
    """Return the scope whose children are shown; the root by default."""
    given = request.GET.get("parent")
    if not given:
        return root
    try:
        return scopes.child(request.user, root, UUID(given))
    except ValueError as error:
        raise NotFound from error


def _share(budget: Any) -> float | None:
    """Return the spent share of a budget, from 0 to 1; None without a budget."""
    if not budget.max_cost_usd:
        return None
    return float(min(budget.spent_usd / budget.max_cost_usd, 1))


@part_view
def waiting(request: HttpRequest, scope_type: str, scope_id: str) -> HttpResponse:
    """Render what waits in a scope for this user."""
    root = root_in_path(request.user, scope_type=scope_type, scope_key=scope_id)
    if root is None:
        raise NotFound
    now = database_now()
    asked: dict[str, Any] = {"user": request.user, "scope_type": root.type, "scope_id": root.key, "now": now}
    asked["within"] = inbox.reach(request.user, now)
    counts = [(kind, number) for kind, number in inbox.counts(**asked).items() if number]
    rows = inbox.with_executions(inbox.entries(**asked)).order_by("since", "id")[:MAX_WAITING]
    found = inbox.with_subjects(rows) if counts else []
    return render(
        request,
        "console/scopes/waiting.html",
        {
            "scope": root,
            "scope_query": query_of_scope(root),
            "counts": [(count_text(number), waiting_words(kind, number)) for kind, number in counts],
            "items": [{"item": each, "path": _path_of(each), "what": _kind_of(each)} for each in found],
        },
    )


def _kind_of(item: inbox.InboxItem) -> str:
    return waiting_words(InboxKind(item.entry.kind))


def _path_of(item: inbox.InboxItem) -> str:
    """Return the page on which a person acts on an entry."""
    if item.entry.kind == InboxKind.ACCEPTANCE and item.step is not None:
        return reverse("console:decision", args=[item.entry.execution_id, item.step.step_id])
    return reverse("console:execution", args=[item.entry.execution_id])
