"""Addresses of versions of documents, and of the parts of the tab with the times."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.urls import reverse


def version_path(document_id: UUID | str, version: int) -> str:
    """Return the address of a version of a document."""
    return f"{reverse('console:document', args=[document_id])}?{urlencode({'v': version})}"


def difference_path(document_id: UUID | str, before: int, after: int) -> str:
    """Return the address of the difference of two versions."""
    return f"{reverse('console:compare-versions', args=[document_id])}?{urlencode({'a': before, 'b': after})}"


#: What an address of the tab can say: the step whose items are shown, their page, events of the log, their page.
_NAMES = ("items", "page", "log", "before")


def query_with(asked: QueryDict, **changes: object) -> str:
    """Return the query of the tab's address with some parts changed; None takes a part away."""
    given: Mapping[str, object] = {name: asked[name] for name in _NAMES if name in asked} | changes
    return urlencode({name: value for name, value in given.items() if value is not None})
