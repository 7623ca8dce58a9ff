"""Addresses of scopes and of their lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.exceptions import ValidationError

from common.api.pagination import keyset_page
from common.errors import Malformed


def path_of_scope(scope: Any, *, people: bool = False) -> str:
    """Return the path of the page of a root scope, or of the page with its people."""
    name = "console:scope-people" if people else "console:scope"
    return reverse(name, kwargs={"scope_type": scope.type, "scope_id": scope.key})


def query_of_scope(scope: Any) -> str:
    """Return the filters by which lists show a root scope."""
    return urlencode({"scope_type": scope.type, "scope_id": scope.key})


def page_of(
    rows: QuerySet[Any], request: HttpRequest, *, ordering: tuple[str, ...], limit: int, name: str = "cursor"
) -> tuple[list[Any], str]:
    """Return one page of a list, and the query of the next page; empty if this is the last one.

    Args:
        rows: All rows.
        request: The request, whose address has the cursor.
        ordering: The order of the rows.
        limit: The most rows of a page.
        name: The parameter with the cursor.

    Raises:
        Malformed: the cursor is not of this list.
    """
    given: Mapping[str, str] = {"cursor": request.GET.get(name, "")}
    try:
        page, following = keyset_page(rows, given, of=f"{name} of {request.path}", ordering=ordering, limit=limit)
    except ValidationError as error:
        raise Malformed(gettext("The address has a place of another list.")) from error
    if following is None:
        return page, ""
    kept = request.GET.copy()
    kept[name] = following
    return page, kept.urlencode()
