"""Addresses of what an execution has: its steps, and versions of documents."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.urls import NoReverseMatch, reverse


def step_path(execution_id: UUID, step_id: str) -> str:
    """Return the address of a step; that of its execution as long as steps have no pages."""
    try:
        return reverse("console:execution-step", args=[execution_id, step_id])
    except NoReverseMatch:
        return reverse("console:execution", args=[execution_id])


def version_path(document_id: UUID | str, version: int) -> str:
    """Return the address of a version of a document."""
    return f"{reverse('console:document', args=[document_id])}?{urlencode({'v': version})}"


def difference_path(document_id: UUID | str, before: int, after: int) -> str:
    """Return the address of the difference of two versions."""
    return f"{reverse('console:compare-versions', args=[document_id])}?{urlencode({'a': before, 'b': after})}"


#: What an address of the tab can say: the step whose items are shown, a page of items, events of the log, a page of events.
_NAMES = ("items", "page", "log", "before")


def query_with(asked: QueryDict, **changes: object) -> str:
    """Return the query of the tab's address with some parts changed; None takes a part away."""
    given: Mapping[str, object] = {name: asked[name] for name in _NAMES if name in asked} | changes
    return urlencode({name: value for name, value in given.items() if value is not None})
