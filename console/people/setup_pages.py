"""The first minutes of an installation: the first account, by the link that the server prints, and an example."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils.translation import gettext
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_http_methods

from access.errors import NameTaken, ScopeForbidden
from access.idempotency import run_form_once
from access.people import first_account
from access.services import BadName, BadPassword, store_login
from common.database.server import database_now
from common.errors import Conflict, Gone, Invalid, NotFound
from common.present_request import network_of
from console.edit_pages import person
from console.language.choice import in_language
from console.shell import form_view, show_page
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.errors import BudgetExceeded
from executions.services.examples.example import read_example
from executions.services.executions import start_execution

_KEY = "setup"  # in the session
_BACKEND = "access.passwords.backend.PasswordBackend"
_NO_REFERRER = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
#: Why the example cannot start.
_REFUSALS = (Invalid, Conflict, Gone, NotFound, BudgetExceeded)


@ensure_csrf_cookie
@require_http_methods(["GET", "HEAD", "POST"])
@in_language
def setup(request: HttpRequest) -> HttpResponse:
    """Show the form of the first account, or create it. Only the link that the server printed leads here."""
    if not first_account.is_needed():
        return HttpResponseRedirect(resolve_url("console:executions"))
    key_hash = first_account.hash_secret(request.GET.get("key", ""))
    if first_account.is_valid(key_hash):
        request.session[_KEY] = key_hash
        return _without_secret(HttpResponseRedirect(resolve_url("console:setup")))
    if not first_account.is_valid(str(request.session.get(_KEY, ""))):
        return _page(request, status=403, is_refused=True)
    return _create(request) if request.method == "POST" else _page(request)


def _create(request: HttpRequest) -> HttpResponse:
    name, password = request.POST.get("username", ""), request.POST.get("password", "")
    if password != request.POST.get("password_again", ""):
        return _page(request, status=422, fault=gettext("The two passwords differ."))
    try:
        user = first_account.create(name=name, password=password, network=network_of(request), now=database_now())
    except first_account.SetUpAlready:
        return HttpResponseRedirect(resolve_url("console:login"))
    except (BadName, BadPassword, NameTaken) as error:
        return _page(request, status=422, fault=gettext(str(error)))
    login(request, user, backend=_BACKEND)
    store_login(request)
    return HttpResponseRedirect(resolve_url("console:example"))


def _page(request: HttpRequest, *, status: int = 200, **shown: Any) -> HttpResponse:
    context = {"username": request.POST.get("username", ""), **shown}
    response = render(request, "console/people/setup.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _without_secret(response: HttpResponse) -> HttpResponse:
    for name, value in _NO_REFERRER.items():
        response[name] = value
    return response


@form_view
@require_http_methods(["GET", "HEAD", "POST"])
def example(request: HttpRequest) -> HttpResponse:
    """Show what the example is, or start it, with the prepared replies."""
    fault = ""
    if request.method == "POST":
        try:
            started = run_form_once(request, lambda: _start(request))
        except _REFUSALS as error:
            fault = gettext(error.explanation)
        else:
            return HttpResponseRedirect(resolve_url("console:execution", execution_id=started))
    status = 422 if fault else 200
    shown: dict[str, Any] = {"example": read_example(), "fault": fault}
    return show_page(request, "console/people/example.html", section="executions", status=status, **shown)


def _start(request: HttpRequest) -> str:
    """Start the example in the scope `example/<brief>`, or, if that is another person's, in one of this person's own.

    With models of a provider it is a dry run, because only the rehearsal has the prepared replies.
    """
    user, found = person(request), read_example()
    asks_a_provider = any(not each.startswith("rehearsal:") for each in settings.MODEL_ALIASES.values())
    script = DryRunScript() if asks_a_provider else None
    for key in (found.brief, f"{found.brief}-{user.pk}"):
        try:
            started = start_execution(
                user=user,
                workflow_id=found.workflow,
                scope_type="example",
                scope_id=key,
                input=found.text,
                script=script,
                now=database_now(),
            )
        except ScopeForbidden:
            continue
        return str(started.id)
    raise Conflict(gettext("The scope of the example belongs to another person."))
