"""Pages of the list of documents, with or without a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import DateTimeField, FloatField, UUIDField

from access.selectors import Person
from common.database.walks import After, Found
from documents import selectors
from documents.models import Document
from documents.search.lists import DocumentQuery, newest
from documents.search.ranking import best, words_of
from documents.search.snippets import Run, snippets

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Fields of the values that a cursor holds.
BY_TIME = (DateTimeField(), UUIDField())
BY_RANK = (FloatField(), DateTimeField(), UUIDField())


@dataclass(frozen=True, slots=True)
class Listed:
    """A document of a page. `snippet` is None without a search, and for a document that has none."""

    document: Document
    snippet: list[Run] | None = None


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """One page. `next` are the values that the next page begins after; None on the last page."""

    documents: list[Listed]
    next: Sequence[Any] | None
    truncated: bool | None = None  # whether a search has more matches than all its pages; None: no search


def newest_page(*, user: Person, query: DocumentQuery, limit: int, after: Sequence[Any] | None) -> DocumentPage:
    """Return a page of the list, newest first."""
    found = newest(user=user, query=query, count=limit + 1, after=None if after is None else After(*after))
    last = found[limit - 1] if len(found) > limit else None
    return DocumentPage(_listed(found[:limit], {}), None if last is None else (last.moment, last.id))


def best_page(*, user: Person, query: DocumentQuery, q: str, limit: int, after: Sequence[Any] | None) -> DocumentPage:
    """Return a page of a search, best first."""
    matches = best(user=user, query=query, q=q)
    rest = [each for each in matches.found if after is None or _is_after(each, after)]
    page, last = rest[:limit], rest[limit - 1] if len(rest) > limit else None
    found = snippets([each.id for each in page], words_of(q)) if page else {}
    start = None if last is None else (repr(last.rank), last.moment, last.id)
    return DocumentPage(_listed(page, found), start, matches.truncated)


def _is_after(found: Found, after: Sequence[Any]) -> bool:
    rank, at, last = after
    return (found.rank, found.at, found.id) < (rank, (at - _EPOCH) // timedelta(microseconds=1), last)


def _listed(found: Sequence[Found], passages: Mapping[UUID, list[Run]]) -> list[Listed]:
    by_id = {row.id: row for row in selectors.heads([each.id for each in found])} if found else {}
    return [Listed(by_id[each.id], passages.get(each.id)) for each in found if each.id in by_id]
