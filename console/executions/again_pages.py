"""The page that makes a stale document again: what is reused, what will be paid, and the form that starts it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from access.idempotency import run_form_once
from access.permissions import NEEDED_ROLE, Action
from access.selectors import require
from common.database.server import database_now
from common.errors import Conflict, Gone, Invalid, Malformed, NotFound
from console.edit_pages import person, version_in
from console.executions.plans import plan_again
from console.executions.reasons import staleness_of
from console.shell import form_view, is_htmx, show_page, stored, stream_of
from documents import selectors
from executions.engine.domain.errors import BudgetExceeded
from executions.engine.domain.states import Reuse
from executions.selectors.staleness import maker_of
from executions.services.executions import start_execution

_OTHER_STATE = gettext_lazy("Since you opened this page, the document has become current, or waits for a decision.")
_OTHER_PLAN = gettext_lazy(
    "Since you opened this page, what an execution would do has changed. It is shown as it is now."
)
#: Why a start is refused although the role permits it.
_REFUSALS = (Invalid, Conflict, Gone, BudgetExceeded)


@form_view
def make_again(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render what it takes to make a document again, or start the execution that makes it."""
    row = selectors.version(user=request.user, document_id=document_id)
    require(request.user, row.document.scope, NEEDED_ROLE[Action.START])
    if request.method != "POST":
        return _page(request, row)
    maker, version = maker_of(row.document_id, row.version), version_in(request, "workflow_version")
    if request.POST.get("reuse") != Reuse.CURRENT.value:
        raise Malformed
    if maker is None or maker.execution.script is not None:  # a dry run
        raise NotFound
    try:
        started = run_form_once(request, lambda: _start(request, row, maker, version=version))
    except _REFUSALS as error:
        return _page(request, row, fault=gettext(error.explanation), status=422)
    return stored(request, reverse("console:execution", args=[started]))


def _start(request: HttpRequest, asked: Any, maker: Any, *, version: int) -> str:
    """Start the execution that the person has seen on the page.

    Raises:
        Conflict: it would do something else now.
    """
    if not staleness_of(request.user, asked).can_be_made_again:
        raise Conflict(str(_OTHER_STATE))
    if plan_again(person(request), maker).key != request.POST.get("plan"):
        raise Conflict(str(_OTHER_PLAN))
    row = maker.execution
    started = start_execution(
        user=person(request),
        workflow_id=row.workflow_id,
        workflow_version=version,
        scope_type=row.scope.type,
        scope_id=row.scope.key,
        input=row.input,
        tags=row.tags,
        budget=row.budget,
        reuse=Reuse.CURRENT,
        now=database_now(),
    )
    return str(started.id)


def _page(request: HttpRequest, row: Any, *, fault: str = "", status: int = 200) -> HttpResponse:
    """Render the page; for a refused form that a script has sent, its part with the plan and the form."""
    found, plan, obstacle = staleness_of(request.user, row), None, ""
    if found.can_be_made_again:
        try:
            plan = plan_again(person(request), found.maker)
        except _REFUSALS as error:
            obstacle = gettext(error.explanation)
    shown = {
        "document": row,
        "stale": found,
        "plan": plan,
        "fault": fault,
        "obstacle": obstacle,
        "path": reverse("console:document", args=[row.document_id]),
    }
    if request.method == "POST" and is_htmx(request):
        return render(request, "console/documents/again_form.html", shown, status=status)
    frame = {"section": "documents", "scope": row.document.scope, "stream": stream_of(row.document.scope)}
    return show_page(request, "console/documents/again.html", status=status, **frame, **shown)
