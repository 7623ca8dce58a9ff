"""The page of the items of a step, and the form that accepts several of their documents."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from console.execution_pages.frame import Header, show_tab
from console.execution_pages.items import ItemList
from console.inbox.acts import accept_chosen
from console.shell import form_view, page_view, part_view, stored


def _read(request: HttpRequest, execution_id: UUID, slug: str) -> dict[str, Any]:
    header = Header.read(request, execution_id)
    return {"header": header, "listed": ItemList.read(request, header, slug)}


def _page(request: HttpRequest, execution_id: UUID, slug: str, **shown: Any) -> HttpResponse:
    found = _read(request, execution_id, slug)
    return show_tab(request, template="console/execution_pages/items.html", tab="work", **found, **shown)


@page_view
def items(request: HttpRequest, execution_id: UUID, slug: str) -> HttpResponse:
    """Render the page."""
    return _page(request, execution_id, slug)


@part_view
def item_rows(request: HttpRequest, execution_id: UUID, slug: str) -> HttpResponse:
    """Render the filters and the rows, which follow events."""
    found = _read(request, execution_id, slug)
    shown = {**found, "execution": found["header"].execution}
    return render(request, "console/execution_pages/item_rows.html", shown)


@form_view
@require_POST
def accept_items(request: HttpRequest, execution_id: UUID, slug: str) -> HttpResponse:
    """Accept the chosen documents, each on its own. What was refused is named."""
    found = _read(request, execution_id, slug)
    if refusals := accept_chosen(request):
        return _page(request, execution_id, slug, refusals=refusals, is_sent=True, status=422)
    listed = found["listed"]
    return stored(request, listed.path + (f"?{listed.query}" if listed.query else ""))
