"""The list of executions: filters in its address, rows that follow events, and acts on the chosen rows."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST
from rest_framework.exceptions import ValidationError

from access.idempotency import run_form_once
from access.selectors import root_scope
from common.database.server import database_now
from common.errors import DomainError, NotFound
from common.limits import limits
from common.names import in_words
from console.edit_pages import person
from console.executions.lists import ExecutionList
from console.shell import form_view, page_view, part_view, show_page, stream_of
from executions.selectors import executions, inbox
from executions.services.bulk_actions import BulkAction, act_on_many
from workflows.selectors import workflows


@page_view
def listing(request: HttpRequest) -> HttpResponse:
    """Render a page of the list."""
    return _page(request)


@part_view
def rows(request: HttpRequest) -> HttpResponse:
    """Render the rows of a page of the list."""
    now = database_now()
    try:
        listed = ExecutionList.read(request, now=now, within=inbox.reach(request.user, now))
    except ValidationError as error:
        raise NotFound from error
    return render(request, "console/executions/rows.html", {"listed": listed})


def _page(request: HttpRequest, *, status: int = 200, **shown: Any) -> HttpResponse:
    now = database_now()
    within = inbox.reach(request.user, now)
    try:
        listed = ExecutionList.read(request, now=now, within=within)
    except ValidationError:  # a cursor of another list
        kept = request.GET.copy()
        del kept["cursor"]
        return HttpResponseRedirect(f"{request.path}?{kept.urlencode()}")
    return show_page(
        request,
        "console/executions/list.html",
        section="executions",
        within=within,
        status=status,
        listed=listed,
        stream=_stream(request, listed),
        **shown,
    )


def _stream(request: HttpRequest, listed: ExecutionList) -> str:
    """Return the event stream of the scope that the filters name; empty if they name none."""
    named = [listed.form.given.get(name, "") for name in ("scope_type", "scope_id")]
    if not all(named) or not listed.form.is_valid():
        return ""
    root = root_scope(request.user, scope_type=named[0], scope_key=named[1])
    return "" if root is None else stream_of(root)


@form_view
@require_POST
def act_on_chosen(request: HttpRequest) -> HttpResponse:
    """Cancel or retry the chosen executions, each on its own, and say the outcome of each."""
    chosen, most = _chosen(request), limits().bulk_executions
    action = next((each for each in BulkAction if each.value == request.POST.get("action")), None)
    if action is None or not 0 < len(chosen) <= most:
        fault = gettext("Choose 1 to %(most)s executions.") % {"most": most}
        return _page(request, status=422, fault=fault, is_sent=True)

    def act() -> list[Any]:
        found = act_on_many(user=person(request), action=action, execution_ids=chosen, now=database_now())
        outcomes = ((each, found[each]) for each in chosen)
        return [[str(key), each.explanation if isinstance(each, DomainError) else ""] for key, each in outcomes]

    outcomes = cast(list[list[str]], run_form_once(request, act))
    return _page(request, outcomes=_told(request, action, outcomes), summary=_summary(action, outcomes))


def _chosen(request: HttpRequest) -> list[UUID]:
    """Return the ids of a form, each once. What is no id is left out."""
    found: dict[UUID, None] = {}
    for value in request.POST.getlist("ids"):
        try:
            found[UUID(value)] = None
        except ValueError:
            continue
    return [*found]


def _summary(action: BulkAction, outcomes: list[list[str]]) -> str:
    given = {"done": sum(not fault for _, fault in outcomes), "all": len(outcomes)}
    if action is BulkAction.CANCEL:
        return ngettext("%(done)s of %(all)s is cancelled.", "%(done)s of %(all)s are cancelled.", given["all"]) % given
    return ngettext("%(done)s of %(all)s is retried.", "%(done)s of %(all)s are retried.", given["all"]) % given


def _told(request: HttpRequest, action: BulkAction, outcomes: list[list[str]]) -> list[dict[str, Any]]:
    """Return the outcome of each execution for people; one that the user may not see has no name."""
    ids = [UUID(execution_id) for execution_id, _ in outcomes]
    known = {row.id: row for row in executions.executions(user=request.user).filter(id__in=ids)}
    names = _names({row.workflow_id for row in known.values()})
    done = gettext("cancelled") if action is BulkAction.CANCEL else gettext("retried")
    return [
        {
            "execution": row,
            "name": names[row.workflow_id] if row else "",
            "fault": fault and gettext(fault),
            "done": done,
        }
        for row, fault in ((known.get(UUID(execution_id)), fault) for execution_id, fault in outcomes)
    ]


def _names(workflow_ids: set[str]) -> dict[str, str]:
    """Return the names of workflows; one that was only tried has the words of its id."""
    return {each: in_words(each) for each in workflow_ids} | {
        row.id: row.name for row in workflows(retired=True).filter(id__in=workflow_ids)
    }
