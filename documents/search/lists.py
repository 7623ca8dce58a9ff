"""Lists of documents by filters: the cost of a page does not depend on the number of documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from access.selectors import Person, in_named_scopes, named_scope_ids, visible_roots
from common.database.bulk import array_text
from common.database.walks import (
    TRUE,
    After,
    Bounds,
    Condition,
    Found,
    Part,
    Path,
    Values,
    Wanted,
    bounds_of,
    conclusive,
)
from documents.search.walks import CREATED, DOCUMENTS, UPDATED

MAX_SCOPES = 1_000  # of one name that a path of their own begins with

_IN_EXECUTION = "id IN (SELECT document_id FROM documents_documentversion WHERE execution_id = %s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentQuery:
    """Filters of a list of documents; None: any. `..._after` is inclusive, `..._before` is not."""

    scope_type: str | None = None
    scope_id: str | None = None
    scope: UUID | None = None
    type: str | None = None
    status: str | None = None
    execution_id: UUID | None = None
    workflow_id: str | None = None
    author: str | None = None
    stale: bool | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None

    @property
    def order(self) -> str:
        """The column of the order: the list goes by creation if a filter does."""
        return UPDATED if self.created_after is None and self.created_before is None else CREATED


@dataclass(frozen=True, slots=True)
class Plan:
    """Walks that can answer a list, the most specific one first, and the conditions on each row."""

    paths: Sequence[Path]
    filters: Sequence[Condition]
    bounds: Bounds


def newest(*, user: Person, query: DocumentQuery, count: int, after: After | None = None) -> list[Found]:
    """Return the newest `count` documents that the user may read and that match, after a given one."""
    plan = plan_walks(user=user, query=query, after=after)
    if not plan.paths:
        return []
    wanted = Wanted(table=DOCUMENTS, count=count, order=query.order, filters=plan.filters, bounds=plan.bounds)
    with transaction.atomic():
        return conclusive(plan.paths, wanted)


def plan_walks(*, user: Person, query: DocumentQuery, after: After | None = None) -> Plan:
    """Return the walks for a list. Without paths the user may read no document that could match."""
    filters = [*_filters(query)]
    paths = [*_specific_paths(query)]
    first, end = _range(query, query.order)
    if query.scope_type is not None or query.scope_id is not None:
        ids = named_scope_ids(user, scope_type=query.scope_type, scope_key=query.scope_id, limit=MAX_SCOPES)
        if not ids:
            return Plan((), (), Bounds())
        if len(ids) < MAX_SCOPES:
            in_scopes = Condition("scope_id = ANY(%s::uuid[])", (ids,))
            paths.insert(0, _unordered(in_scopes))
            filters.append(in_scopes)
        else:
            filters.append(in_named_scopes(scope_type=query.scope_type, scope_key=query.scope_id))
    roots = visible_roots(user)
    if roots is not None:
        if not roots:
            return Plan((), (), Bounds())
        filters.append(Condition("root_id = ANY(%s::uuid[])", (array_text(roots),)))
        paths.append(_path("root_id", Values("uuid", roots)))
    paths.append(Path(parts=[Part()], order=query.order))
    return Plan(paths, filters, bounds_of(since=first, until=end, after=after))


def _path(column: str, values: Values, condition: Condition = TRUE) -> Path:
    return Path(parts=[Part(each={column: values}, condition=condition, descends=True)], order=UPDATED)


def _unordered(condition: Condition) -> Path:
    return Path(parts=[Part(condition=condition)], order=None)


def _specific_paths(query: DocumentQuery) -> Iterator[Path]:
    """Yield the paths of filters that have an index."""
    if query.execution_id is not None:
        yield _unordered(Condition(_IN_EXECUTION, (query.execution_id,)))
    if query.scope is not None:
        yield _unordered(Condition("scope_id = %s", (query.scope,)))
    if query.author:
        yield _path("author_name", Values("text", [query.author]), Condition("author_name <> ''"))
    if query.stale:
        yield Path(parts=[Part(condition=Condition("stale"))], order=UPDATED)
    if query.workflow_id:
        yield _path("workflow_id", Values("text", [query.workflow_id]), Condition("workflow_id <> ''"))
    if query.type is not None:
        yield _path("type", Values("text", [query.type]))


def _filters(query: DocumentQuery) -> Iterator[Condition]:
    exact = {
        "scope_id": query.scope,
        "type": query.type,
        "status": query.status,
        "workflow_id": query.workflow_id,
        "author_name": query.author,
        "stale": query.stale,
    }
    yield Condition("erased_at IS NULL")
    yield from (Condition(f"{name} = %s", (value,)) for name, value in exact.items() if value is not None)
    if query.execution_id is not None:
        yield Condition(_IN_EXECUTION, (query.execution_id,))
    other = UPDATED if query.order == CREATED else CREATED
    first, end = _range(query, other)
    yield from bounds_of(since=first, until=end, after=None).conditions(other)


def _range(query: DocumentQuery, column: str) -> tuple[datetime | None, datetime | None]:
    """Return the range of time in which the column of the documents is."""
    if column == UPDATED:
        return query.updated_after, query.updated_before
    return query.created_after, query.created_before
