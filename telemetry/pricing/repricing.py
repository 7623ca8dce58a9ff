"""Recalculation of the costs of past calls, after a missing or wrong price was corrected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from telemetry import ledger
from telemetry.ledger import RepliedCall
from telemetry.price_list import Billing
from telemetry.pricing import prices

BATCH_SIZE = 500  # calls per transaction
_FIRST = UUID(int=0)


@dataclass(slots=True, kw_only=True)
class Repricing:
    """Result: sums over the calls of the time range, in US dollars."""

    calls: int = 0  # with a reply
    changed: int = 0
    newly_priced: int = 0  # changed calls whose cost was unknown before
    before_usd: Decimal = Decimal(0)
    after_usd: Decimal = Decimal(0)
    #: Number of calls without a known price, by `provider:model`; they keep their cost.
    unpriced: Counter[str] = field(default_factory=Counter)
    still_unknown: int = 0  # unpriced calls whose cost was unknown before

    @property
    def unknown_before(self) -> int:
        """Number of calls whose cost was unknown before."""
        return self.still_unknown + self.newly_priced


def reprice(*, since: datetime, until: datetime, dry_run: bool, batch_size: int = BATCH_SIZE) -> Repricing:
    """Recalculate the costs of the calls in [since, until), with the prices at the time of each call.

    Calls without a reply or a token count are skipped: their usage is unknown. Each batch is a transaction of its own;
    with `dry_run` nothing is written.
    """
    prices.CONFIGURED.load()
    result, after = Repricing(), (since, _FIRST)
    while batch := _batch(result, after, until=until, limit=batch_size, dry_run=dry_run):
        after = (batch[-1].started_at, batch[-1].row_id)
    return result


@transaction.atomic
def _batch(
    result: Repricing, after: tuple[datetime, UUID], *, until: datetime, limit: int, dry_run: bool
) -> list[RepliedCall]:
    calls = ledger.replied_calls(after=after, until=until, limit=limit, to_change=not dry_run)
    costs = [(call, cost) for call in calls if (cost := _add_call(result, call)) != call.cost_usd and cost is not None]
    if not dry_run:
        ledger.reprice(costs)
    return calls


def _add_call(result: Repricing, call: RepliedCall) -> Decimal | None:
    """Return the new cost of a call, None if it is unknown, and add the call to the result."""
    cost = prices.price(
        provider=call.provider,
        model=call.model,
        requested=call.requested_model,
        input_tokens=call.input_tokens,
        cache_read_input_tokens=call.cache_read_input_tokens,
        cache_write_input_tokens=call.cache_write_input_tokens,
        output_tokens=call.output_tokens,
        billing=Billing.model_validate(call.billing),
        at=call.started_at,
    )
    new_cost = call.cost_usd if cost is None else cost
    result.calls += 1
    result.before_usd += call.cost_usd or Decimal(0)
    result.after_usd += new_cost or Decimal(0)
    result.changed += new_cost != call.cost_usd
    result.newly_priced += call.cost_usd is None and new_cost is not None
    result.still_unknown += new_cost is None
    if cost is None:
        result.unpriced[f"{call.provider}:{call.model}"] += 1
    return cost
