"""How near executions are to their budgets."""

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
    """An execution, as the engine's value or as a row."""

    @property
    def id(self) -> UUID:
        """Its id."""

    @property
    def budget(self) -> Any:
        """Its limits, None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """A budget, and how much of it is used: of calls whose outcome is not known as much as they may cost at most."""

    budget: Budget
    spent: spending.UsageTotals
    seconds: float

    @property
    def tokens(self) -> int:
        """Of all buckets."""
        return self.spent.tokens

    @property
    def calls(self) -> int:
        """Each try counted."""
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
        """US dollars; None when a part of them is not known."""
        return self.spent.cost_usd if self.cost_complete else None


def usage_query(execution_ids: Iterable[UUID]) -> SqlQuery:
    """Return the query for what executions have used of their budgets; pass its rows to `usage_by_execution`."""
    return spending.usage_query(execution_ids, withdrawn=NOT_SENT)


def usage_by_execution(
    executions: Iterable[HasBudget], spent_rows: Iterable[tuple[Any, ...]], *, now: datetime
) -> dict[UUID, BudgetUse]:
    """Return how near executions are to their budgets, by id; those without one are left out."""
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
