"""What a sum over calls consists of: its executions, and its calls with an unknown cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import DecimalField, UUIDField

from access.selectors import Person, scope_names, user_names
from common.database import bulk
from telemetry.rollups.cuts import SUMS, is_unpriced, sums_of
from telemetry.rollups.reads import Filters, Sums, conditions, snapshot
from telemetry.selectors import Totals, UnknownCosts, filters_of, totals_of

#: Fields of the values that a cursor holds: known cost and id of an execution.
BY_COST = (DecimalField(max_digits=30, decimal_places=10), UUIDField())

_IS_UNKNOWN = is_unpriced("one")
#: Parameters: those of the calls, the last row of the page before or NULL, the number of rows.
_EXECUTIONS = f"""
WITH share AS (
  SELECT one.execution_id, min(one.workflow_id) AS workflow_id, min(one.scope_id::text)::uuid AS scope_id,
    min(one.user_id) AS user_id, min(one.started_at) AS first_call_at,
    {", ".join(f"{value} AS {name}" for name, value in sums_of("one").items())},
    coalesce(sum(one.estimated_cost_usd) FILTER (WHERE {_IS_UNKNOWN}), 0) AS max_unknown,
    count(*) FILTER (WHERE {_IS_UNKNOWN} AND one.estimated_cost_usd IS NULL) AS without_max
  FROM telemetry_modelcall AS one WHERE {{which}} GROUP BY one.execution_id
)
SELECT share.execution_id, share.workflow_id, share.scope_id, share.user_id, share.first_call_at,
  share.max_unknown, share.without_max, {", ".join(f"share.{name}" for name in SUMS)}
FROM share
WHERE {{unknown}} AND coalesce((share.known_cost_usd, share.execution_id) < (%s::numeric, %s::uuid), true)
ORDER BY share.known_cost_usd DESC, share.execution_id DESC LIMIT %s"""  # noqa: S608 - columns
#: Parameters: begins and ends of the times, those of the calls.
_UNKNOWN = f"""
SELECT count(*), coalesce(sum(one.max_cost), 0), count(*) FILTER (WHERE one.max_cost IS NULL)
FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS span (start, until)
CROSS JOIN LATERAL (
  SELECT one.estimated_cost_usd AS max_cost FROM telemetry_modelcall AS one
  WHERE one.started_at >= span.start AND one.started_at < span.until AND {_IS_UNKNOWN} AND {{which}}
  OFFSET 0
) AS one"""  # noqa: S608 - a condition


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionShare:
    """What an execution has in a sum: its calls that the filters select."""

    execution_id: UUID
    workflow_id: str
    scope: tuple[str, str]  # type and key
    user: str | None  # None: the system, or an erased user
    first_call_at: datetime  # of the selected calls
    totals: Totals
    max_unknown_cost_usd: Decimal | None  # max cost of calls with an unknown cost; None: a call has no known price


@dataclass(frozen=True, slots=True)
class SharePage:
    """One page of executions. `next` are the values that the next page begins after; None on the last page."""

    executions: list[ExecutionShare]
    next: Sequence[Any] | None


def executions_of_sum(
    *, user: Person, limit: int, after: Sequence[Any] | None = None, only_unknown: bool = False, **named: Any
) -> SharePage:
    """Return a page of the executions of a sum, the most expensive first.

    Args:
        user: Who reads.
        limit: The most executions.
        after: Known cost and id of the execution before; None: from the first one.
        only_unknown: Whether only executions with calls of unknown cost are meant.
        named: Filters as of `selectors.filters_of`.
    """
    which, values = _where(filters_of(user=user, **named))
    text = _EXECUTIONS.format(which=which, unknown="share.unpriced_calls > 0" if only_unknown else "true")
    cost, execution_id = after or (None, None)
    with snapshot():
        rows = bulk.execute(text, [*values, cost, execution_id, limit + 1]).fetchall()
        scopes, users = scope_names({row[2] for row in rows}), user_names(row[3] for row in rows if row[3])
    found = [_share(row, scopes, users) for row in rows[:limit]]
    last = found[-1] if len(rows) > limit else None
    return SharePage(found, None if last is None else (f"{last.totals.known_cost_usd:.10f}", last.execution_id))


def _share(row: Sequence[Any], scopes: dict[UUID, tuple[str, str]], users: dict[int, str]) -> ExecutionShare:
    execution_id, workflow_id, scope_id, user_id, first_call_at, max_unknown, without_max, *sums = row
    return ExecutionShare(
        execution_id=execution_id,
        workflow_id=workflow_id,
        scope=scopes[scope_id],
        user=users.get(user_id),
        first_call_at=first_call_at,
        totals=totals_of(Sums(executions=1, **dict(zip(SUMS, sums, strict=True)))),
        max_unknown_cost_usd=None if without_max else max_unknown,
    )


def unknown_costs(*, user: Person, spans: Sequence[tuple[datetime, datetime]], **named: Any) -> UnknownCosts:
    """Return the sum over the calls with an unknown cost in spans of time; `named` are as of `selectors.filters_of`.

    The ledger is read. A caller knows from a summary by day which days have such calls.
    """
    which, values = _where(filters_of(user=user, **named))
    ends = [[start for start, _ in spans], [until for _, until in spans]]
    with snapshot():
        [(calls, max_cost, without_max)] = bulk.execute(_UNKNOWN.format(which=which), [*ends, *values]).fetchall()
    return UnknownCosts(calls=calls, max_cost_usd=max_cost, calls_without_max=without_max)


def _where(filters: Filters) -> tuple[str, list[object]]:
    """Return the condition for the calls of a sum, and its parameters."""
    which, values = conditions(filters, "one")
    for comparison, moment in ((">=", filters.since), ("<", filters.until)):
        if moment is not None:
            which, values = f"{which} AND one.started_at {comparison} %s", [*values, moment]
    return which, values
