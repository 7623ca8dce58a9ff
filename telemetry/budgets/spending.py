"""Usage of execution budgets. Calls without a known result count with their max usage."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from common.database import bulk
from common.database.joint_queries import SqlQuery

_SPENT_SUMS = """coalesce(sum(coalesce(cost_usd, estimated_cost_usd)), 0),
  coalesce(sum(greatest(
    reserved_tokens, input_tokens + cache_read_input_tokens + cache_write_input_tokens + output_tokens
  )), 0)::bigint,
  count(*) FILTER (WHERE NOT starts_with(error, %s)),
  count(*) FILTER (WHERE cost_usd IS NULL AND estimated_cost_usd IS NULL AND status <> 'failed')
FROM telemetry_modelcall"""
_SPENT = f"SELECT {_SPENT_SUMS} WHERE execution_id = %s AND id <> ALL(%s)"
_SPENT_BY_EXECUTION = f"""
SELECT execution_id, {_SPENT_SUMS} WHERE execution_id = ANY(%s) GROUP BY execution_id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Budget usage of calls, with max values for calls without a known result."""

    cost_usd: Decimal = Decimal(0)
    tokens: int = 0
    calls: int = 0
    unpriced_calls: int = 0  # may have cost something, but have neither a cost nor a max cost


def execution_usage(execution_id: UUID, *, withdrawn: str, excluded: Collection[UUID] = ()) -> UsageTotals:
    """Return the usage of an execution, without the excluded rows.

    Calls whose error starts with `withdrawn` were never sent, and do not count.
    """
    [found] = bulk.execute(_SPENT, [withdrawn, execution_id, list(excluded)]).fetchall()
    return UsageTotals(**dict(zip(UsageTotals.__dataclass_fields__, found, strict=True)))


def usage_query(execution_ids: Iterable[UUID], *, withdrawn: str) -> SqlQuery:
    """Return the query for the usage of many executions; pass its rows to `usage_by_execution`."""
    return SqlQuery(_SPENT_BY_EXECUTION, [withdrawn, list(execution_ids)])


def usage_by_execution(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, UsageTotals]:
    """Return the usage by execution id; executions without calls are omitted."""
    return {
        execution_id: UsageTotals(**dict(zip(UsageTotals.__dataclass_fields__, found, strict=True)))
        for execution_id, *found in rows
    }
