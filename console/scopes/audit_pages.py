"""The audit log for staff and owners: filters in the address, pages, and the way to the CSV file."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext

from access.audit import selectors
from access.audit.acts import Act, Via
from access.selectors import root_in_path
from common.errors import NotFound
from common.time import format_rfc3339
from console.scopes.addresses import page_of, path_of_scope, query_of_scope
from console.scopes.forms import AuditFilterForm
from console.scopes.words import ACTS, WAYS
from console.shell import page_view, part_view, show_page

PAGE_SIZE = 50
MAX_NEWEST = 8  # acts that the page of a scope shows
_NAMES = {"from": "since", "to": "until"}  # parameters of the selector


@page_view
def log(request: HttpRequest) -> HttpResponse:
    """Render the audit log, newest first."""
    form = AuditFilterForm(request.GET)
    page: list[Any] = []
    following = ""
    if form.is_valid():
        given = {_NAMES.get(name, name): value for name, value in form.given.items() if name != "act"}
        acts = [form.given["act"]] if "act" in form.given else []
        rows = selectors.entries(reader=request.user, act=acts, **given)
        page, following = page_of(rows, request, ordering=("-at", "-id"), limit=PAGE_SIZE)
    else:
        selectors.entries(reader=request.user)  # refuses those who may read nothing
    return show_page(
        request,
        "console/scopes/audit.html",
        section="audit",
        form=form,
        rows=_described(page),
        next=following,
        is_first="cursor" not in request.GET,
        csv=f"{reverse('audit')}?{_api_query(form.given)}",
    )


@part_view
def newest(request: HttpRequest, scope_type: str, scope_id: str) -> HttpResponse:
    """Render the newest acts in a scope."""
    root = root_in_path(request.user, scope_type=scope_type, scope_key=scope_id)
    if root is None:
        raise NotFound
    rows = selectors.entries(reader=request.user, scope_type=root.type, scope_id=root.key)
    found = _described(list(rows.order_by("-at", "-id")[:MAX_NEWEST]))
    return render(request, "console/scopes/newest.html", {"rows": found, "scope_query": query_of_scope(root)})


def _api_query(given: dict[str, Any]) -> str:
    """Return the query of the CSV file: the same filters, with exact times."""
    shown = {name: format_rfc3339(value) if isinstance(value, datetime) else value for name, value in given.items()}
    return urlencode({"format": "csv", **shown})


def _described(rows: list[Any]) -> list[dict[str, Any]]:
    return [_describe(each) for each in selectors.named(rows)]


def _describe(found: selectors.NamedEntry) -> dict[str, Any]:
    entry = found.entry
    return {
        "entry": entry,
        "who": _who(found),
        "act": ACTS[Act(entry.act)],
        "via": WAYS[Via(entry.via)],
        "scope": found.scope,
        "scope_path": "" if found.scope is None else path_of_scope(found.scope),
        "subject_path": _path_of(entry),
    }


def _who(found: selectors.NamedEntry) -> str:
    """Return who acted, in words."""
    if found.user is not None:
        return found.user
    if found.entry.user_id is not None:
        return gettext("user %(number)s (erased)") % {"number": found.entry.user_id}
    return gettext("a command") if found.entry.via == Via.COMMAND else gettext("unknown")


def _path_of(entry: Any) -> str:
    """Return the page of what was acted upon; empty if it has none."""
    if entry.subject_kind in {"execution", "document"} and entry.subject_id:
        return reverse(f"console:{entry.subject_kind}", args=[entry.subject_id])
    return ""
