"""How much of a budget calls have used or reserved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from executions.engine.domain.calls import Call
from executions.engine.domain.retries import was_never_sent
from executions.engine.domain.states import CallStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUsage:
    """Usage of finished calls plus reservations.

    A call that is under way, has an unknown outcome or has no token count is counted with its reserved maximum.
    """

    cost_usd: Decimal = Decimal(0)  # without calls that have no known price
    tokens: int = 0
    calls: int = 0

    def __add__(self, other: BudgetUsage) -> BudgetUsage:
        """Return the sum over both."""
        return BudgetUsage(
            cost_usd=self.cost_usd + other.cost_usd,
            tokens=self.tokens + other.tokens,
            calls=self.calls + other.calls,
        )


NO_USAGE = BudgetUsage()


def usage_of(calls: Iterable[Call]) -> BudgetUsage:
    """Return the budget usage of calls.

    A call that failed without a reply cost nothing. It counts as a call if it was sent.
    """
    return sum((_of(call) for call in calls), start=NO_USAGE)


def _of(call: Call) -> BudgetUsage:
    if call.reply is not None:
        known, maximum = call.reply.cost_usd, call.estimated_cost_usd or Decimal(0)
        tokens = max(call.reply.usage.total_tokens, call.reserved_tokens)
        return BudgetUsage(cost_usd=maximum if known is None else known, tokens=tokens, calls=1)
    if was_never_sent(call):
        return NO_USAGE
    if call.status is CallStatus.FAILED:
        return BudgetUsage(calls=1)
    return BudgetUsage(cost_usd=call.estimated_cost_usd or Decimal(0), tokens=call.reserved_tokens, calls=1)
