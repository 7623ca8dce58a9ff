"""Scopes for people: roots with counts, and the scopes below them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from access.permissions import SCOPE_ACTIONS, Action, Role, permitted
from access.selectors import (
    Person,
    child_counts,
    children_of,
    effective_roles,
    limits_of,
    owners_of,
    roles_in,
    root_in_path,
    visible_scopes,
)
from common.database.bulk import run_together
from common.database.counts import limited_counts
from common.errors import NotFound
from common.names import normalize_name
from documents import selectors as documents
from executions import models
from executions.engine.domain.states import ExecutionStatus, InboxKind
from telemetry.scope_budgets import MonthlyBudget, monthly_budget

_WAITING = (InboxKind.QUESTION, InboxKind.ACCEPTANCE, InboxKind.BUDGET)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeSummary:
    """A root scope, the caller's role in it, and counts of what is in it and below, each exact below `MAX_COUNT`."""

    scope: Any
    role: Role
    may: Sequence[Action]
    executions: Mapping[str, int]  # by status, each status named
    documents: int
    waiting: int  # questions, decisions and budgets that wait for people


class KeptDays(NamedTuple):
    """How long a root scope keeps executions; None: as their workflows say, or for ever."""

    days: int | None
    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeDetails:
    """A root scope with its owners, its budget, and how long it keeps executions."""

    summary: ScopeSummary
    owners: Sequence[str]
    budget: MonthlyBudget
    retention: KeptDays


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSummary:
    """A scope below another one, with counts of what is directly in it."""

    scope: Any
    documents: int
    children: int


def roots(
    *, user: Person, scope_type: str | None = None, scope_id: str | None = None, q: str | None = None
) -> QuerySet[Any]:
    """Return the root scopes that the user may see. `q`: those whose type or key contains this text."""
    key = None if scope_id is None else normalize_name(scope_id)
    wanted = {name: value for name, value in (("type", scope_type), ("key", key)) if value is not None}
    rows = visible_scopes(user).filter(parent=None, **wanted)
    if q is None:
        return rows
    text = normalize_name(q)
    return rows.filter(Q(key__icontains=text) | Q(type__icontains=text))


def with_counts(rows: Iterable[Any], *, user: Person) -> list[ScopeSummary]:
    """Return root scopes with the user's role and counts, in one round trip for all."""
    page = list(rows)
    ids = [row.id for row in page]
    if not ids:
        return []
    roles, counts = roles_in(user, ids), _CountQueries(ids)
    run_together(roles, *counts.questions)
    found = effective_roles(user, ids, roles)
    return [
        ScopeSummary(
            scope=row,
            role=found[row.id],
            may=permitted(found[row.id], SCOPE_ACTIONS, limits=limits_of(user)),
            executions=counts.executions_in(row.id),
            documents=counts.documents_in(row.id),
            waiting=counts.waiting_in(row.id),
        )
        for row in page
        if row.id in found  # a role may have been taken meanwhile
    ]


class _CountQueries:
    """Queries for the counts of root scopes, which stop at `MAX_COUNT`."""

    def __init__(self, ids: Collection[UUID]) -> None:
        roots = ("uuid", list(ids))
        statuses, kinds = [each.value for each in ExecutionStatus], [each.value for each in _WAITING]
        self._statuses = limited_counts("executions_execution", {"scope_id": roots, "status": ("text", statuses)})
        self._waiting = limited_counts("executions_inboxentry", {"root_id": roots, "kind": ("text", kinds)})
        self._documents = documents.counts_by_root(ids)
        self.questions = [self._statuses, self._waiting, self._documents]

    def executions_in(self, scope_id: UUID) -> dict[str, int]:
        found = {status: number for each, status, number in self._statuses.rows if each == scope_id}
        return {each.value: found.get(each.value, 0) for each in ExecutionStatus}

    def documents_in(self, scope_id: UUID) -> int:
        return sum(number for each, number in self._documents.rows if each == scope_id)

    def waiting_in(self, scope_id: UUID) -> int:
        return sum(number for each, _, number in self._waiting.rows if each == scope_id)


def scope_details(*, user: Person, scope_type: str, scope_key: str, now: datetime) -> ScopeDetails:
    """Return a root scope with its counts, owners, budget and retention.

    Raises:
        NotFound: there is no such scope, or none that the user may see.
    """
    scope = root_in_path(user, scope_type=scope_type, scope_key=scope_key)
    found = with_counts([] if scope is None else [scope], user=user)
    if not found:
        raise NotFound("There is no such scope.")
    [summary] = found
    root_id = summary.scope.id
    kept = models.ScopeRetention.objects.filter(scope=root_id).values_list("days", "version").first()
    return ScopeDetails(
        summary=summary,
        owners=owners_of(root_id),
        budget=monthly_budget(root_id, now=now),
        retention=KeptDays(*(kept or (None, None))),
    )


def child(user: Person, root: Any, scope_id: UUID) -> Any:
    """Return a scope of a root's tree, which may be the root itself.

    Raises:
        NotFound: the tree has no such scope, or the user may not see it.
    """
    found = root if root.id == scope_id else visible_scopes(user).filter(root_id=root.id, id=scope_id).first()
    if found is None:
        raise NotFound("There is no such scope.")
    return found


def children(root: Any, *, parent: UUID | None) -> QuerySet[Any]:
    """Return the scopes directly below a root, or below another scope of its tree."""
    return children_of(root_id=root.id, parent_id=parent or root.id)


def child_summaries(rows: Iterable[Any]) -> list[ChildSummary]:
    """Return child scopes with counts, in one round trip for all."""
    page = list(rows)
    ids = [row.id for row in page]
    made, below = documents.counts_by_scope(ids), child_counts(ids)
    if ids:
        run_together(made, below)
    documents_in, children_in = dict(made.rows), dict(below.rows)
    return [
        ChildSummary(scope=row, documents=documents_in.get(row.id, 0), children=children_in.get(row.id, 0))
        for row in page
    ]
