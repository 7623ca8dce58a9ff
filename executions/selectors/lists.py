"""Lists of executions by filters: the cost of a page does not depend on the number of executions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import DateTimeField, UUIDField

from access.selectors import Person, in_named_scopes, named_scope_ids, root_of, visible_roots
from common.database.bulk import array_text, to_json_text
from common.database.walks import (
    TRUE,
    After,
    Condition,
    Found,
    Part,
    Path,
    Table,
    Values,
    Wanted,
    bounds_of,
    conclusive,
)
from executions.engine.domain.states import ExecutionStatus, WaitingOn

ORDER = "created_at"
#: Fields of the values that a cursor holds.
CURSOR = (DateTimeField(), UUIDField())
MAX_SCOPES = 1_000  # of one name that are looked up one by one
SMALL = 64  # scopes to look through before the newest executions of all scopes

#: `is_real`: it is no dry run.
EXECUTIONS = Table(
    name="executions_execution",
    columns="id, created_at, scope_id, status, workflow_id, tags, waiting_on, script IS NULL AS is_real",
)
_STATUSES = tuple(each.value for each in ExecutionStatus)
_WITH_STEP_IN = "SELECT DISTINCT execution_id AS id FROM executions_executionstep WHERE scope_id = %s"
_WITH_TAG = "SELECT execution_id AS id, created_at FROM executions_executiontag WHERE tag = %s"
#: Conditions of indexes, as the planner knows them.
_REAL, _DRY = Condition("script IS NULL"), Condition("script IS NOT NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionQuery:
    """Filters of a list of executions; None, and no status: any. `created_after` is inclusive, `created_before` not.

    `scope` is a root scope, or one below a root, in which a step works.
    """

    status: Sequence[str] = ()
    workflow_id: str | None = None
    scope_type: str | None = None
    scope_id: str | None = None
    scope: UUID | None = None
    tag: str | None = None
    waiting_on: str | None = None
    dry_run: bool | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    @property
    def statuses(self) -> Sequence[str]:
        """The statuses that an execution can have. It waits for something only while it has the status for that."""
        given = self.status or _STATUSES
        return given if self.waiting_on is None else [each for each in given if each == ExecutionStatus.WAITING.value]

    @property
    def by_status(self) -> bool:
        """Whether not all statuses are meant."""
        return bool(self.status) or self.waiting_on is not None


@dataclass(frozen=True, slots=True)
class _Scopes:
    """The root scopes that a list is about."""

    ids: Sequence[UUID] | None  # None: all, or too many to name
    filters: Sequence[Condition]
    child: UUID | None = None  # below the only root

    @property
    def is_small(self) -> bool:
        """Whether looking through these scopes comes first."""
        return self.ids is not None and len(self.ids) <= SMALL


def newest(*, user: Person, query: ExecutionQuery, count: int, after: After | None = None) -> list[Found]:
    """Return the newest `count` executions that the user may see and that match, after a given one.

    Call it within a transaction, in which PostgreSQL keeps to indexes from then on.
    """
    scopes = _scopes(user, query)
    if not query.statuses or (scopes.ids is not None and not scopes.ids):
        return []
    filters = [*scopes.filters, *_filters(query)]
    bounds = bounds_of(since=query.created_after, until=query.created_before, after=after)
    wanted = Wanted(table=EXECUTIONS, count=count, order=ORDER, filters=filters, bounds=bounds)
    return conclusive([*_paths(query, scopes)], wanted)


def _scopes(user: Person, query: ExecutionQuery) -> _Scopes:
    """Return the root scopes with the names and the id of the query that the user may read."""
    filters, child = [], None
    known = [] if (roots := visible_roots(user)) is None else [roots]
    if query.scope_type is not None or query.scope_id is not None:
        ids = named_scope_ids(user, scope_type=query.scope_type, scope_key=query.scope_id, limit=MAX_SCOPES)
        if len(ids) < MAX_SCOPES:
            known.append(ids)
        else:
            filters.append(in_named_scopes(scope_type=query.scope_type, scope_key=query.scope_id))
    if query.scope is not None:
        root = root_of(query.scope)
        known.append([] if root is None else [root])
        child = None if root == query.scope else query.scope
    if not known:
        return _Scopes(None, filters)
    first, *others = known
    ids = sorted(set(first).intersection(*others))
    if child is not None:
        listed = _WITH_STEP_IN.replace("DISTINCT ", "")
        filters.append(Condition(f"id IN (SELECT listed.id FROM ({listed}) AS listed)", (child,)))  # noqa: S608
    return _Scopes(ids, [*filters, Condition("scope_id = ANY(%s::uuid[])", (array_text(ids),))], child)


def _paths(query: ExecutionQuery, scopes: _Scopes) -> Iterator[Path]:
    """Yield the walks that can answer a list: first those that are likely to meet its executions soon."""
    statuses = Values("text", query.statuses)
    if scopes.child is not None:
        yield Path(parts=[Part(listed=Condition(_WITH_STEP_IN, (scopes.child,)))], order=None)
    if query.tag is not None:
        yield Path(parts=[Part(listed=Condition(_WITH_TAG, (query.tag,)))], order=ORDER)
    if query.waiting_on is not None:
        yield Path(parts=[Part(each={"status": statuses}, condition=_waits_on(query.waiting_on))], order=ORDER)
    of_workflow = [] if query.workflow_id is None else _paths_of_workflow(query, scopes, query.workflow_id)
    in_scopes = _in_scopes(scopes, statuses, only_dry=bool(query.dry_run))
    if scopes.is_small:
        yield from [*of_workflow[1:], *in_scopes, *of_workflow[:1]]
    else:
        yield from of_workflow
    if query.by_status or query.dry_run is not None:
        yield Path(parts=[Part(each={"status": statuses}, condition=half) for half in _halves(query)], order=ORDER)
    else:
        yield Path(parts=[Part()], order=ORDER)
    if not scopes.is_small:
        yield from in_scopes


def _in_scopes(scopes: _Scopes, statuses: Values, *, only_dry: bool) -> list[Path]:
    if scopes.ids is None:
        return []
    each = {"scope_id": Values("uuid", scopes.ids), "status": statuses}
    return [Path(parts=[Part(each=each, condition=_DRY if only_dry else TRUE)], order=ORDER)]


def _paths_of_workflow(query: ExecutionQuery, scopes: _Scopes, workflow_id: str) -> list[Path]:
    """Return the walk over a workflow in the order of time, and that over its executions in some scopes.

    The index of the latter has no order; it tells soon that there are few, or none.
    """
    same, statuses = {"workflow_id": Values("text", [workflow_id])}, Values("text", query.statuses)
    parts = [Part(each={**same, "status": statuses}, condition=half) for half in _halves(query)]
    found = [Path(parts=parts, order=ORDER)]
    if scopes.ids is not None:
        there = {"scope_id": Values("uuid", scopes.ids)}
        real = {**same, **there, **({"status": statuses} if query.by_status else {})}
        each = {_REAL: real, _DRY: {**(there if scopes.is_small else same), "status": statuses}}
        found.append(Path(parts=[Part(each=each[half], condition=half) for half in _halves(query)], order=None))
    return found


def _halves(query: ExecutionQuery) -> list[Condition]:
    """Return the conditions of the indexes that have the executions, dry runs apart."""
    return [_REAL, _DRY] if query.dry_run is None else [_DRY if query.dry_run else _REAL]


def _waits_on(waiting_on: str) -> Condition:
    """Return the condition of the index for one thing that executions wait for, as the planner knows it."""
    return Condition(f"waiting_on @> '[\"{WaitingOn(waiting_on).value}\"]'::jsonb")


def _filters(query: ExecutionQuery) -> Iterator[Condition]:
    if query.status:
        yield Condition("status = ANY(%s)", (list(query.status),))
    if query.workflow_id is not None:
        yield Condition("workflow_id = %s", (query.workflow_id,))
    if query.tag is not None:
        yield Condition("tags @> %s::jsonb", (to_json_text([query.tag]),))
    if query.waiting_on is not None:
        yield Condition("waiting_on @> %s::jsonb", (to_json_text([query.waiting_on]),))
    if query.dry_run is not None:
        yield Condition("is_real = %s", (not query.dry_run,))
