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

from telemetry.models import Price
from telemetry.price_list import FREE_PROVIDERS, LOCAL_PROVIDERS, Named, OwnPrice, PriceList, Rates, Tokens, parse_tiers

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
    at: datetime,
) -> Decimal | None:
    """Return the cost of one call in US dollars, rounded once to ten decimals; None when it is not known.

    It is not known when the model has no price, and when nothing was counted though the model is not free.

    Args:
        provider: As it names itself.
        model: As the provider names it.
        requested: `provider:model` as asked for, where that is another name of the same.
        input_tokens: Neither read from nor written to a cache.
        cache_read_input_tokens: Read from a cache.
        cache_write_input_tokens: Written to a cache.
        output_tokens: With those of reasoning.
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
    if provider in FREE_PROVIDERS:
        return _rounded(Decimal(0))
    own = _own.prices.find(_named(provider, model, requested), at=at)
    if own is None and provider in LOCAL_PROVIDERS:
        return _rounded(Decimal(0))
    dollars = own.cost(tokens) if own is not None else _listed(provider, model, tokens, at=at)
    return None if dollars is None else _rounded(dollars)


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


def _listed(provider: str, model: str, tokens: Tokens, *, at: datetime) -> Decimal | None:
    """Return US dollars by the list that ships, not rounded; None when it lacks a price that the call needs."""
    usage = Usage(  # it counts cached tokens as a part of the input
        input_tokens=tokens.all_input,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        output_tokens=tokens.output,
    )
    try:
        calculated = calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)
    except LookupError:
        return None
    rates = calculated.model_price
    lacks = (tokens.all_input and rates.input_mtok is None) or (tokens.output and rates.output_mtok is None)
    return None if lacks else calculated.total_price


def _rounded(dollars: Decimal) -> Decimal | None:
    return None if dollars >= _TOO_MUCH else dollars.quantize(_TEN_DECIMALS, rounding=ROUND_HALF_EVEN)
