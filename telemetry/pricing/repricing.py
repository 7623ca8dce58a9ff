"""Prices calls again that were made already: a price was not known then, or was wrong."""

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

AT_ONCE = 500  # calls that one transaction prices
_FIRST = UUID(int=0)


@dataclass(slots=True, kw_only=True)
class Repricing:
    """What came of it: sums over the calls that were looked at, in US dollars."""

    calls: int = 0  # with a reply
    changed: int = 0
    newly_priced: int = 0  # of them, those whose cost was not known before
    before_usd: Decimal = Decimal(0)
    after_usd: Decimal = Decimal(0)
    #: Calls by `provider:model` that have no known price now; what they cost stays as it was.
    unpriced: Counter[str] = field(default_factory=Counter)
    still_unknown: int = 0  # of them, those whose cost was not known before

    @property
    def unknown_before(self) -> int:
        """Calls whose cost was not known."""
        return self.still_unknown + self.newly_priced


def reprice(*, since: datetime, until: datetime, dry_run: bool, at_once: int = AT_ONCE) -> Repricing:
    """Price the calls of a span of time again, half-open, each by what holds for its time; return what came of it.

    Calls without a reply or a count are left alone: what they used is not known. Each batch is stored for itself; with
    `dry_run` none is.
    """
    prices.refresh()
    result, after = Repricing(), (since, _FIRST)
    while batch := _batch(result, after, until=until, limit=at_once, dry_run=dry_run):
        after = (batch[-1].started_at, batch[-1].row_id)
    return result


@transaction.atomic
def _batch(
    result: Repricing, after: tuple[datetime, UUID], *, until: datetime, limit: int, dry_run: bool
) -> list[RepliedCall]:
    calls = ledger.replied(after=after, until=until, limit=limit, to_change=not dry_run)
    costs = [(call, cost) for call in calls if (cost := _counted(result, call)) != call.cost_usd and cost is not None]
    if not dry_run:
        ledger.reprice(costs)
    return calls


def _counted(result: Repricing, call: RepliedCall) -> Decimal | None:
    """Return what a call costs now, None when nobody knows; and add it to the result."""
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
    becomes = call.cost_usd if cost is None else cost
    result.calls += 1
    result.before_usd += call.cost_usd or Decimal(0)
    result.after_usd += becomes or Decimal(0)
    result.changed += becomes != call.cost_usd
    result.newly_priced += call.cost_usd is None and becomes is not None
    result.still_unknown += becomes is None
    if cost is None:
        result.unpriced[f"{call.provider}:{call.model}"] += 1
    return cost
