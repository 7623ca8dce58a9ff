"""Acts of authors on a workflow: make a version current, retire it, bring it back."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext

from access.idempotency import run_form_once
from access.selectors import require_author
from common.database.server import database_now
from common.errors import Malformed, PreconditionFailed
from console.edit_pages import person
from console.shell import form_view, number_in, stored
from console.workflows.forms import VersionForm
from workflows import publishing, selectors


@form_view
def make_current(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Make a published version the current one, which is the default of starts."""
    form = VersionForm(request.POST)
    if not form.is_valid():
        raise Malformed
    version = form.cleaned_data["version"]

    def act(expected: set[int]) -> None:
        publishing.make_current(
            workflow_id, version, by=person(request), now=database_now(), expected_versions=expected
        )

    return _act(request, workflow_id, act, template="current", done="switched", version=version)


@form_view
def retire(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Retire a workflow: its executions go on, and new ones do not start."""

    def act(expected: set[int]) -> None:
        publishing.retire(workflow_id, by=person(request), now=database_now(), expected_versions=expected)

    return _act(request, workflow_id, act, template="retire", done="retired")


@form_view
def restore(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Bring a retired workflow back."""

    def act(expected: set[int]) -> None:
        publishing.restore(workflow_id, by=person(request), expected_versions=expected)

    return _act(request, workflow_id, act, template="bring_back", done="restored")


def _act(
    request: HttpRequest,
    workflow_id: str,
    act: Callable[[set[int]], None],
    *,
    template: str,
    done: str,
    version: int | None = None,
) -> HttpResponse:
    """Act once. If another author was first, the form comes back and says so; nothing was changed."""
    require_author(request.user)
    expected = number_in(request.POST.get("If-Match", ""))
    if request.method != "POST" or expected is None:
        raise Malformed
    row = selectors.current(workflow_id)
    try:
        run_form_once(request, lambda: act({expected}))
    except PreconditionFailed:
        fault = gettext("Version %(version)s has become the current one meanwhile. Nothing was changed.")
        told = fault % {"version": row.version}
        shown = {"row": row, "version": version, "fault": told, "current": row.version}
        return render(request, f"console/workflows/{template}.html", shown, status=422)
    return stored(request, f"{reverse('console:workflow', args=[workflow_id])}?done={done}")
