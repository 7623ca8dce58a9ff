"""What executions have used of their budgets: at most, where it is not known."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from common.database import bulk
from common.database.joint_queries import Question

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
class Spent:
    """What calls have used of a budget: at most, where it is not known yet."""

    cost_usd: Decimal = Decimal(0)
    tokens: int = 0
    calls: int = 0
    unpriced_calls: int = 0  # that may have cost something, and nobody knows how much at most


def execution_spent(execution_id: UUID, *, withdrawn: str, but: Collection[UUID] = ()) -> Spent:
    """Return what an execution has used, without these rows.

    Calls whose error begins with `withdrawn` were never made, and do not count.
    """
    [found] = bulk.execute(_SPENT, [withdrawn, execution_id, list(but)]).fetchall()
    return Spent(**dict(zip(Spent.__dataclass_fields__, found, strict=True)))


def spent_of(execution_ids: Iterable[UUID], *, withdrawn: str) -> Question:
    """Return the question for the same of many executions; its rows are to be given to `spent_by_execution`."""
    return Question(_SPENT_BY_EXECUTION, [withdrawn, list(execution_ids)])


def spent_by_execution(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, Spent]:
    """Return what executions have used, by their ids; those without calls are left out."""
    return {
        execution_id: Spent(**dict(zip(Spent.__dataclass_fields__, found, strict=True)))
        for execution_id, *found in rows
    }
