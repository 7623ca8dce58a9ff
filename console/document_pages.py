"""Pages of documents: the library and the reader. They call the same selectors as the API."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import mark_safe
from rest_framework.exceptions import ValidationError

from access.selectors import root_scope
from common.api.pagination import encode_cursor, page_start
from common.errors import NotFound
from console.comment_pages import comments_of, passage_path
from console.executions.reasons import Staleness, staleness_of
from console.forms import DocumentFilterForm
from console.provenance import describe
from console.shell import page_view, part_view, show_page, stream_of, version_in_address
from documents import selectors
from documents.comparison.diff import compare
from documents.comparison.html import render_html
from documents.comparison.values import ABSENT
from documents.search.lists import DocumentQuery
from documents.search.pages import BY_RANK, BY_TIME, DocumentPage, best_page, newest_page
from executions.selectors import executions

PAGE_SIZE = 25
MAX_VERSIONS = 30
MAX_USERS = 20
MAX_SUGGESTIONS_SOUGHT = 100  # documents whose types and scopes are suggested

#: Formats of a version, with their names for people.
_DOWNLOADS = (("docx", "Word"), ("pdf", "PDF"), ("markdown", "Markdown"), ("html", "HTML"), ("json", "JSON"))


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
        stream=_stream_of_filters(request, form),
        add_query=_query(request.GET, without="cursor"),
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
    page, of = DocumentPage([], None), ""
    if form.is_valid():
        filters = form.given
        of = f"documents {sorted(filters.items())}"
        q = filters.pop("q", None)
        after = page_start(request.GET, BY_TIME if q is None else BY_RANK, of=of)
        select = newest_page if q is None else partial(best_page, q=q)
        page = select(user=request.user, query=DocumentQuery(**filters), limit=PAGE_SIZE, after=after)
        proposed = executions.proposed_versions([each.document.id for each in page.documents])
        for each in page.documents:
            each.document.proposed_version = proposed.get(each.document.id)  # type: ignore[attr-defined]
    first = _query(request.GET, without="cursor")
    return {
        "page": page,
        "given": form.given,
        "query": request.GET.urlencode(),
        "first": first,
        "next": f"{first}&cursor={quote(encode_cursor(page.next, of=of))}".lstrip("&") if page.next else "",
        "is_first": "cursor" not in request.GET,
    }


def _query(given: QueryDict, *, without: str) -> str:
    """Return the query of an address without a parameter, and without empty ones."""
    kept = given.copy()
    for name in [*given]:
        if name == without or not given[name]:
            del kept[name]
    return kept.urlencode()


@part_view
def suggestions(request: HttpRequest) -> HttpResponse:
    """Render values for filters, from the documents that changed last; asked for when a filter gets the focus."""
    newest = newest_page(user=request.user, query=DocumentQuery(), limit=MAX_SUGGESTIONS_SOUGHT, after=None)
    rows = [each.document for each in newest.documents]
    found = {
        "type": {row.type for row in rows},
        "scope_type": {row.scope.type for row in rows},
        "scope_id": {row.scope.key for row in rows},
        "workflow_id": {row.workflow_id for row in rows},
        "author": {row.author_name for row in rows},
    }
    listed = {name: sorted(values - {""}) for name, values in found.items()}
    return render(request, "console/documents/suggestions.html", {"suggestions": listed})


def _stream_of_filters(request: HttpRequest, form: DocumentFilterForm) -> str:
    """Return the event stream of the scope that the filters name; empty if they name none."""
    named = {name: form.given.get(name) for name in ("scope_type", "scope_id")}
    if not all(named.values()):
        return ""
    root = root_scope(request.user, scope_type=str(named["scope_type"]), scope_key=str(named["scope_id"]))
    return "" if root is None else stream_of(root)


@page_view
def reader(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render one version of a document, the newest by default: `?v=3` is the third."""
    row = selectors.version(user=request.user, document_id=document_id, number=version_in_address(request))
    scope, is_newest = row.document.scope, row.version == row.document.version
    return show_page(
        request,
        "console/documents/reader.html",
        section="documents",
        document=row,
        scope=scope,
        provenance=describe(row),
        stale=staleness_of(request.user, row) if is_newest and row.document.stale else Staleness(),
        users=selectors.used_by(row, limit=MAX_USERS),
        downloads=_DOWNLOADS,
        stream=stream_of(scope),
        passage_path=passage_path(row),
        **comments_of(request, row),
        **_versions(row),
    )


@part_view
def versions(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render the list of versions beside a document, and the notice about a newer one."""
    row = selectors.version(user=request.user, document_id=document_id, number=version_in_address(request))
    return render(request, "console/documents/versions.html", {"document": row, **_versions(row)})


@page_view
def compare_versions(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render the difference of two versions: `?a=1&b=3`; by default the same two as the API compares."""
    a = version_in_address(request, "a") if request.GET.get("a") else None
    b = version_in_address(request, "b")
    earlier, later = selectors.version_pair(user=request.user, document_id=document_id, before=a, after=b)
    before = ABSENT if earlier is None else earlier.content
    schemas = {"schema": later.schema.content, "schema_before": None if earlier is None else earlier.schema.content}
    found = compare(before, later.content, **schemas)
    return show_page(
        request,
        "console/documents/compare.html",
        section="documents",
        document=later,
        earlier=earlier,
        scope=later.document.scope,
        difference=mark_safe(render_html(found, heading_level=2, speech=translation)),  # noqa: S308 - it escapes every text
        **_versions(later),
    )


def _versions(row: Any) -> dict[str, Any]:
    found = selectors.newest_versions(row.document_id, limit=MAX_VERSIONS)
    return {
        "versions": found,
        "path": reverse("console:document", args=[row.document_id]),
        "current": row.document.version,
        "older": found[-1].version - 1,
    }
