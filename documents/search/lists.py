"""Lists of documents by filters: the cost of a page does not depend on the number of documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from access.selectors import SCOPE_NAMES, Person, named_scope_ids, visible_roots
from documents.search.walks import CREATED, UPDATED, Condition, Found, Path, Walk, Wanted, walk

FIRST_BUDGET = 256  # rows that the first walks read
GROWTH = 8  # of the budget, from one round of walks to the next
MAX_SCOPES = 1_000  # of one name that a path of their own begins with

_IN_SCOPES = f"scope_id IN (SELECT named.id FROM ({SCOPE_NAMES}) AS named WHERE {{}})"  # noqa: S608 - no input in it
_IN_EXECUTION = "id IN (SELECT document_id FROM documents_documentversion WHERE execution_id = %s)"


class After(NamedTuple):
    """The last row of the page before."""

    at: datetime
    id: UUID


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
    bounds: Sequence[Condition]


def newest(*, user: Person, query: DocumentQuery, count: int, after: After | None = None) -> list[Found]:
    """Return the newest `count` documents that the user may read and that match, after a given one."""
    plan = plan_walks(user=user, query=query, after=after)
    if not plan.paths:
        return []
    wanted = Wanted(count=count, order=query.order, filters=plan.filters, bounds=plan.bounds)
    with transaction.atomic():
        return next(each.found for each in deepening(plan.paths, wanted) if each.is_conclusive)[:count]


def deepening(paths: Sequence[Path], wanted: Wanted) -> Iterator[Walk]:
    """Yield walks over all paths with growing budgets. One of the walks is conclusive at last."""
    budget = FIRST_BUDGET
    while True:
        for path in paths:
            yield walk(path, wanted, budget=budget_of(path, budget))
        budget *= GROWTH


def budget_of(path: Path, rows: int) -> int:
    """Return the budget of a walk that shall read a number of rows; roots share it."""
    return max(rows // max(len(path.each), 1), 2)


def plan_walks(*, user: Person, query: DocumentQuery, after: After | None = None) -> Plan:
    """Return the walks for a list. Without paths the user may read no document that could match."""
    filters = [*_filters(query)]
    paths = [*_specific_paths(query)]
    if query.scope_type is not None or query.scope_id is not None:
        ids = named_scope_ids(user, scope_type=query.scope_type, scope_key=query.scope_id, limit=MAX_SCOPES)
        if not ids:
            return Plan((), (), ())
        if len(ids) < MAX_SCOPES:
            in_scopes = Condition("scope_id = ANY(%s::uuid[])", (ids,))
            paths.insert(0, Path(condition=in_scopes, order=None))
            filters.append(in_scopes)
        else:
            filters.append(_scope_names(query))
    roots = visible_roots(user)
    if roots is not None:
        if not roots:
            return Plan((), (), ())
        filters.append(Condition("root_id = ANY(%s::uuid[])", (roots,)))
        paths.append(_path_of_roots(roots))
    paths.append(Path(order=query.order))
    return Plan(paths, filters, [*_bounds(query, after)])


def _path_of_roots(roots: Sequence[UUID]) -> Path:
    return Path(condition=Condition("root_id = %s", (roots[0],))) if len(roots) == 1 else Path(each=roots)


def _specific_paths(query: DocumentQuery) -> Iterator[Path]:
    """Yield the paths of filters that have an index."""
    if query.execution_id is not None:
        yield Path(condition=Condition(_IN_EXECUTION, (query.execution_id,)), order=None)
    if query.scope is not None:
        yield Path(condition=Condition("scope_id = %s", (query.scope,)), order=None)
    if query.author:
        yield Path(condition=Condition("author_name = %s AND author_name <> ''", (query.author,)))
    if query.stale:
        yield Path(condition=Condition("stale"))
    if query.workflow_id:
        yield Path(condition=Condition("workflow_id = %s AND workflow_id <> ''", (query.workflow_id,)))
    if query.type is not None:
        yield Path(condition=Condition("type = %s", (query.type,)))


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
    yield from _times(query, UPDATED if query.order == CREATED else CREATED)


def _bounds(query: DocumentQuery, after: After | None) -> Iterator[Condition]:
    """Yield the conditions on the column of the order, and where the page begins."""
    yield from _times(query, query.order)
    if after is not None:
        yield Condition(f"({query.order}, id) < (%s, %s)", (after.at, after.id))


def _times(query: DocumentQuery, column: str) -> Iterator[Condition]:
    updated, created = (query.updated_after, query.updated_before), (query.created_after, query.created_before)
    first, end = updated if column == UPDATED else created
    if first is not None:
        yield Condition(f"{column} >= %s", (first,))
    if end is not None:
        yield Condition(f"{column} < %s", (end,))


def _scope_names(query: DocumentQuery) -> Condition:
    named = []
    if query.scope_type is not None:
        named.append(Condition("named.type = %s", (query.scope_type,)))
    if query.scope_id is not None:
        named.append(Condition("named.key = %s", (query.scope_id,)))
    sql = _IN_SCOPES.format(" AND ".join(each.sql for each in named))
    return Condition(sql, tuple(value for each in named for value in each.values))
