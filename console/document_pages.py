"""Pages of documents: the library and the reader. They call the same selectors as the API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from rest_framework.exceptions import NotFound, ValidationError

from access.selectors import root_scope
from common.api.pagination import keyset_page
from console.forms import DocumentFilterForm
from console.provenance import describe
from console.shell import page_view, part_view, show_page
from documents import selectors

ORDERING = ("-updated_at", "-id")
PAGE_SIZE = 25
MAX_VERSIONS = 30
MAX_USERS = 20
MAX_SUGGESTIONS_SOUGHT = 300  # documents whose types and scopes are suggested


@page_view
def library(request: HttpRequest) -> HttpResponse:
    """Render the library: search, filters in the address, pages."""
    form = DocumentFilterForm(request.GET)
    try:
        found = _results(request, form)
    except ValidationError:  # a cursor of another list
        return HttpResponseRedirect(f"{request.path}?{_query(request.GET, without='cursor')}")
    return show_page(
        request,
        "console/documents/library.html",
        section="documents",
        form=form,
        suggestions=_suggestions(request),
        stream=_stream_of_filters(request, form),
        **found,
    )


@part_view
def results(request: HttpRequest) -> HttpResponse:
    """Render the list of the library."""
    try:
        found = _results(request, DocumentFilterForm(request.GET))
    except ValidationError as error:
        raise NotFound from error
    return render(request, "console/documents/results.html", found)


def _results(request: HttpRequest, form: DocumentFilterForm) -> dict[str, Any]:
    """Return one page of documents for the templates; nothing while a filter is invalid.

    Raises:
        ValidationError: the cursor is not of this list.
    """
    rows: list[Any] = []
    cursor = None
    if form.is_valid():
        chosen = selectors.documents(user=request.user, **form.given)
        rows, cursor = keyset_page(chosen, ORDERING, limit=PAGE_SIZE, cursor=request.GET.get("cursor"))
    first = _query(request.GET, without="cursor")
    return {
        "rows": rows,
        "given": getattr(form, "given", {}),
        "query": request.GET.urlencode(),
        "first": first,
        "next": f"{first}&cursor={quote(cursor)}".lstrip("&") if cursor else "",
        "is_first": "cursor" not in request.GET,
    }


def _query(given: QueryDict, *, without: str) -> str:
    """Return the query of an address without a parameter, and without empty ones."""
    kept = given.copy()
    for name in [*given]:
        if name == without or not given[name]:
            del kept[name]
    return kept.urlencode()


def _suggestions(request: HttpRequest) -> dict[str, list[str]]:
    """Return values for filters, from the documents that changed last."""
    newest = selectors.documents(user=request.user).order_by(*ORDERING)
    rows = newest.values_list("type", "scope__type", "scope__key", "updated_at", "id")[:MAX_SUGGESTIONS_SOUGHT]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    names = ("type", "scope_type", "scope_id")
    return {name: sorted(set(column)) for name, column in zip(names, columns, strict=False)}


def _stream_of_filters(request: HttpRequest, form: DocumentFilterForm) -> str:
    """Return the event stream of the scope that the filters name; empty if they name none."""
    named = {name: form.given.get(name) for name in ("scope_type", "scope_id")}
    if not all(named.values()):
        return ""
    root = root_scope(request.user, scope_type=str(named["scope_type"]), scope_key=str(named["scope_id"]))
    return "" if root is None else _stream(root)


def _stream(root: Any) -> str:
    """Return the path of a root scope's event stream."""
    return f"/api/v1/scopes/{quote(root.type, safe='')}/{quote(root.key, safe='')}/stream"


@page_view
def reader(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render one version of a document, the newest by default: `?v=3` is the third."""
    row = selectors.version(user=request.user, document_id=document_id, number=_number(request))
    scope = row.document.scope
    return show_page(
        request,
        "console/documents/reader.html",
        section="documents",
        document=row,
        scope=scope,
        provenance=describe(row),
        users=selectors.used_by(row, limit=MAX_USERS),
        stream=_stream(scope.root or scope),
        **_versions(row),
    )


@part_view
def versions(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render the list of versions beside a document, and the notice about a newer one."""
    row = selectors.version(user=request.user, document_id=document_id, number=_number(request))
    return render(request, "console/documents/versions.html", {"document": row, **_versions(row)})


def _number(request: HttpRequest) -> int | None:
    """Return the version that the address names.

    Raises:
        NotFound: it is no number of a version.
    """
    given = request.GET.get("v")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise NotFound
    return int(given)


def _versions(row: Any) -> dict[str, Any]:
    found = selectors.newest_versions(row.document_id, limit=MAX_VERSIONS)
    path = reverse("console:document", args=[row.document_id])
    return {
        "versions": found,
        "path": path,
        "newest": found[0],
        "is_newest": found[0].version == row.version,
        "older": found[-1].version - 1,
    }
