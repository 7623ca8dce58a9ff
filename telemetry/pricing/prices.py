"""What tokens cost: by the prices that people have set, else by the price list that ships with genai-prices.

Asking never looks into the database. What people have set is read by `refresh`, now and then, in each process.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import PriceCalculation

from telemetry.models import Price
from telemetry.price_list import (
    FREE_PROVIDERS,
    LOCAL_PROVIDERS,
    PLAIN,
    Billing,
    Named,
    OwnPrice,
    PriceList,
    Rates,
    Tokens,
    parse_tiers,
)

FRESH_SECONDS = 2.0  # that a new price may be unknown to a start, or to an estimate
_TEN_DECIMALS = Decimal("0.0000000001")
_TOO_MUCH = Decimal(10) ** 10  # US dollars; a call that costs this much has counted wrongly
_SAMPLE = 1_000_000_000  # tokens of a call, longer than any tier, that shows what its model's price is like


@dataclass(slots=True)
class _Own:
    """What people have set, as this process knows it."""

    prices: PriceList
    read_at: float  # on the monotonic clock


_own = _Own(PriceList(), -math.inf)


def is_fresh(*, seconds: float) -> bool:
    """Whether what people have set was read no longer ago."""
    return time.monotonic() - _own.read_at < seconds


def refresh(*, older_than_seconds: float = 0.0) -> None:
    """Read anew what people have set, unless it was read no longer ago. Looks into the database."""
    if not is_fresh(seconds=older_than_seconds):
        now = time.monotonic()
        _own.prices = PriceList(map(_own_price, Price.objects.order_by("id")))
        _own.read_at = now


def forget() -> None:
    """Know nothing of what people have set, until the next `refresh`."""
    _own.prices, _own.read_at = PriceList(), -math.inf


def _own_price(row: Price) -> OwnPrice:
    return OwnPrice(
        provider=row.provider,
        model=row.model,
        effective_from=row.effective_from,
        rates=Rates(
            input=row.input_usd, cache_read=row.cache_read_usd, cache_write=row.cache_write_usd, output=row.output_usd
        ),
        tiers=parse_tiers(row.tiers),
    )


def price(
    *,
    provider: str,
    model: str,
    requested: str = "",
    input_tokens: int,
    cache_read_input_tokens: int,
    cache_write_input_tokens: int,
    output_tokens: int,
    billing: Billing = PLAIN,
    at: datetime,
) -> Decimal | None:
    """Return the cost of one call in US dollars, rounded once to ten decimals; None when it is not known.

    It is not known when the model has no price on these terms, and when nothing was counted though it is not free.

    Args:
        provider: As it names itself.
        model: As the provider names it.
        requested: `provider:model` as asked for, where that is another name of the same.
        input_tokens: Neither read from nor written to a cache.
        cache_read_input_tokens: Read from a cache.
        cache_write_input_tokens: Written to a cache.
        output_tokens: With those of reasoning.
        billing: What changes the price. A price that people have set is the plain one.
        at: When the call was made.
    """
    tokens = Tokens(
        input=input_tokens,
        cache_read=cache_read_input_tokens,
        cache_write=cache_write_input_tokens,
        output=output_tokens,
    )
    if tokens == Tokens():
        return _rounded(Decimal(0)) if is_free(requested or f"{provider}:{model}", at=at) else None
    own = _own.prices.find(_named(provider, model, requested), at=at)
    if provider in FREE_PROVIDERS or (own is None and provider in LOCAL_PROVIDERS):
        return _rounded(Decimal(0))
    dollars = _listed(provider, model, tokens, billing=billing, at=at) if own is None else _set(own, tokens, billing)
    return None if dollars is None else _rounded(dollars)


def _set(own: OwnPrice, tokens: Tokens, billing: Billing) -> Decimal | None:
    """Return US dollars by a price that people have set; None on other terms, but what is free is free on all."""
    return own.cost(tokens) if billing == PLAIN or own.most(_SAMPLE, _SAMPLE) == 0 else None


def most(requested: str, *, input_tokens: int, output_tokens: int, at: datetime) -> Decimal | None:
    """Return what a call to `provider:model` costs at most, however caches are used; None when it has no known price.

    Args:
        requested: `provider:model` as asked for.
        input_tokens: How many are sent at most.
        output_tokens: How many come back at most.
        at: When it is made.
    """
    provider, _, model = requested.partition(":")
    if provider in FREE_PROVIDERS:
        return _rounded(Decimal(0))
    own = _own.prices.find(_named(provider, model, requested), at=at)
    if own is not None:
        return _rounded(own.most(input_tokens, output_tokens))
    if provider in LOCAL_PROVIDERS:
        return _rounded(Decimal(0))
    ways = (
        Tokens(input=input_tokens, output=output_tokens),
        Tokens(cache_read=input_tokens, output=output_tokens),  # some lists have it dearer than what is not cached
        Tokens(cache_write=input_tokens, output=output_tokens),
    )
    dollars = [each for tokens in ways if (each := _listed(provider, model, tokens, at=at)) is not None]
    return _rounded(max(dollars)) if dollars else None


def is_free(requested: str, *, at: datetime) -> bool:
    """Whether calls to `provider:model` cost nothing, for certain."""
    return most(requested, input_tokens=_SAMPLE, output_tokens=_SAMPLE, at=at) == 0


def is_priced(requested: str, *, at: datetime) -> bool:
    """Whether it is known what calls to `provider:model` cost."""
    return most(requested, input_tokens=_SAMPLE, output_tokens=_SAMPLE, at=at) is not None


def _named(provider: str, model: str, requested: str) -> Named:
    asked_provider, _, asked_model = (requested or f"{provider}:{model}").lower().partition(":")
    provider = provider.lower()
    return Named(
        providers=(asked_provider, provider, _general_name(asked_provider), _general_name(provider)),
        models=(asked_model, model.lower()),
    )


def _general_name(provider: str) -> str:
    """Return the one name of a provider that has several (`openai-chat` is `openai`)."""
    try:
        return str(get_snapshot().find_provider(None, provider, None).id)
    except LookupError:
        return provider


def _listed(provider: str, model: str, tokens: Tokens, *, billing: Billing = PLAIN, at: datetime) -> Decimal | None:
    """Return US dollars by the list that ships, not rounded; None when it lacks a price that the call needs."""
    usage = Usage(  # it counts cached tokens as a part of the input
        input_tokens=tokens.all_input,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        output_tokens=tokens.output,
        **({"cache_write_1h_tokens": billing.cache_write_1h} if billing.cache_write_1h else {}),
        **({"web_searches": billing.searches} if billing.searches else {}),
    )
    context = dict(billing.contexts)
    try:
        calculated = calc_price(
            usage, model, provider_id=provider, genai_request_timestamp=at, price_context=context or None
        )
    except LookupError:
        return None
    rates = calculated.model_price
    lacks = (tokens.all_input and rates.input_mtok is None) or (tokens.output and rates.output_mtok is None)
    return None if lacks or not _knows(calculated, billing, at=at) else calculated.total_price


def _knows(calculated: PriceCalculation, billing: Billing, *, at: datetime) -> bool:
    """Whether the list that ships has a price on these terms: it takes the plain one where it has none."""
    rates = calculated.model_price
    several = len(billing.contexts) > len(dict(billing.contexts))  # tiers: it has prices for one
    if several or billing.unpriced or (billing.searches and rates.web_searches_kcount is None):
        return False
    if billing.cache_write_1h and rates.cache_write_1h_mtok is None:
        return False
    known = [
        variant.when
        for variant in calculated.model.price_variants or ()
        if variant.constraint is None or variant.constraint.active(at)
    ]
    return all({name: value} in known for name, value in billing.contexts)


def _rounded(dollars: Decimal) -> Decimal | None:
    return None if dollars >= _TOO_MUCH else dollars.quantize(_TEN_DECIMALS, rounding=ROUND_HALF_EVEN)
