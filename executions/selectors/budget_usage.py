"""Budget usage of executions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from common.database.joint_queries import SqlQuery
from executions.engine.domain.retries import NOT_SENT
from executions.engine.transitions import budgets
from telemetry.budgets import spending
from workflows.definitions.budget import Budget


class HasBudget(budgets.HasRunTime, Protocol):
    """An execution with a budget, as an engine value or as a database row."""

    @property
    def id(self) -> UUID:
        """The execution's id."""

    @property
    def budget(self) -> Any:
        """The limits, None if there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """A budget and its usage. Calls with an unknown outcome count with their maximum."""

    budget: Budget
    spent: spending.UsageTotals
    seconds: float

    @property
    def tokens(self) -> int:
        """Tokens of all buckets."""
        return self.spent.tokens

    @property
    def calls(self) -> int:
        """Number of calls, each try counted."""
        return self.spent.calls

    @property
    def known_cost_usd(self) -> Decimal:
        """US dollars, without calls that have no known price."""
        return self.spent.cost_usd

    @property
    def cost_complete(self) -> bool:
        """Whether all calls have a known price."""
        return not self.spent.unpriced_calls

    @property
    def cost_usd(self) -> Decimal | None:
        """US dollars; None if the cost of a call is unknown."""
        return self.spent.cost_usd if self.cost_complete else None


def usage_query(execution_ids: Iterable[UUID]) -> SqlQuery:
    """Return the query for the budget usage of executions; `usage_by_execution` takes its rows."""
    return spending.usage_query(execution_ids, withdrawn=NOT_SENT)


def usage_by_execution(
    executions: Iterable[HasBudget], spent_rows: Iterable[tuple[Any, ...]], *, now: datetime
) -> dict[UUID, BudgetUse]:
    """Return the budget usage by execution id, without executions that have no budget."""
    limited = {each.id: each for each in executions if each.budget is not None}
    spent = spending.usage_by_execution(spent_rows)
    return {
        identity: BudgetUse(
            budget=Budget.model_validate(each.budget),
            spent=spent.get(identity, spending.UsageTotals()),
            seconds=budgets.running_seconds(each, now),
        )
        for identity, each in limited.items()
    }
