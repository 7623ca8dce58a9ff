"""Costs of calls: by configured prices, or else by the price list of the package genai-prices.

Pricing a call never queries the database: each process reloads the configured prices (`CONFIGURED`) periodically.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import PriceCalculation

from common.ttl_cache import TtlCache
from telemetry.models import Price
from telemetry.price_list import (
    FREE_PROVIDERS,
    LOCAL_PROVIDERS,
    PLAIN,
    Billing,
    CallNames,
    ConfiguredPrice,
    PriceList,
    Rates,
    Tokens,
    parse_tiers,
)

FRESH_SECONDS = 2.0  # max delay until starts and estimates use a new price
_TEN_DECIMALS = Decimal("0.0000000001")
_IMPLAUSIBLE = Decimal(10) ** 10  # US dollars; a call with this cost has a wrong token count
_SAMPLE = 1_000_000_000  # tokens of a sample call, longer than any tier, that tests whether a model is free or priced


def _load() -> PriceList:
    return PriceList(map(_configured_price, Price.objects.order_by("id")))


CONFIGURED: TtlCache[PriceList] = TtlCache(_load, empty=PriceList(), ttl_seconds=FRESH_SECONDS)


def _configured_price(row: Price) -> ConfiguredPrice:
    return ConfiguredPrice(
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
    """Return the cost of one call in US dollars, rounded once to ten decimals; None if it is unknown.

    The cost is unknown if the model has no price for these conditions, or if a priced call has no token count.

    Args:
        provider: The provider, as it names itself.
        model: The model, as the provider names it.
        requested: `provider:model` as requested, if that differs.
        input_tokens: Input tokens without cache reads and writes.
        cache_read_input_tokens: Input tokens read from a cache.
        cache_write_input_tokens: Input tokens written to a cache.
        output_tokens: Output tokens with reasoning tokens.
        billing: Conditions that change the price. Configured prices are standard prices.
        at: Time of the call.
    """
    cached = {"cache_read": cache_read_input_tokens, "cache_write": cache_write_input_tokens}
    tokens = Tokens(input=input_tokens, output=output_tokens, **cached)
    if tokens == Tokens():
        return _round(Decimal(0)) if is_free(requested or f"{provider}:{model}", at=at) else None
    configured = CONFIGURED.value.find(_names(provider, model, requested), at=at)
    if provider in FREE_PROVIDERS or (configured is None and provider in LOCAL_PROVIDERS):
        return _round(Decimal(0))
    if configured is None:
        return _round(_catalog_cost(provider, model, tokens, billing=billing, at=at))
    return _round(_configured_cost(configured, tokens, billing))


def _configured_cost(configured: ConfiguredPrice, tokens: Tokens, billing: Billing) -> Decimal | None:
    """Return US dollars at a configured price; None for special billing, unless the price is zero."""
    return configured.cost(tokens) if billing == PLAIN or configured.max_cost(_SAMPLE, _SAMPLE) == 0 else None


def max_price(requested: str, *, input_tokens: int, output_tokens: int, at: datetime) -> Decimal | None:
    """Return the max cost of a call to `provider:model`, with any use of caches; None if it has no known price.

    Args:
        requested: `provider:model` as requested.
        input_tokens: Max number of input tokens.
        output_tokens: Max number of output tokens.
        at: Time of the call.
    """
    provider, _, model = requested.partition(":")
    if provider in FREE_PROVIDERS:
        return _round(Decimal(0))
    configured = CONFIGURED.value.find(_names(provider, model, requested), at=at)
    if configured is not None:
        return _round(configured.max_cost(input_tokens, output_tokens))
    if provider in LOCAL_PROVIDERS:
        return _round(Decimal(0))
    variants = (
        Tokens(input=input_tokens, output=output_tokens),
        Tokens(cache_read=input_tokens, output=output_tokens),  # for some models more expensive than uncached input
        Tokens(cache_write=input_tokens, output=output_tokens),
    )
    dollars = [each for tokens in variants if (each := _catalog_cost(provider, model, tokens, at=at)) is not None]
    return _round(max(dollars)) if dollars else None


def is_free(requested: str, *, at: datetime) -> bool:
    """Return whether calls to `provider:model` are certainly free."""
    return max_price(requested, input_tokens=_SAMPLE, output_tokens=_SAMPLE, at=at) == 0


def is_priced(requested: str, *, at: datetime) -> bool:
    """Return whether calls to `provider:model` have a known price."""
    return max_price(requested, input_tokens=_SAMPLE, output_tokens=_SAMPLE, at=at) is not None


def _names(provider: str, model: str, requested: str) -> CallNames:
    asked_provider, _, asked_model = (requested or f"{provider}:{model}").lower().partition(":")
    provider = provider.lower()
    return CallNames(
        providers=(asked_provider, provider, _general_name(asked_provider), _general_name(provider)),
        models=(asked_model, model.lower()),
    )


def _general_name(provider: str) -> str:
    """Return the general name of a provider that has several names (`openai` for `openai-chat`)."""
    try:
        return str(get_snapshot().find_provider(None, provider, None).id)
    except LookupError:
        return provider


def _catalog_cost(
    provider: str, model: str, tokens: Tokens, *, billing: Billing = PLAIN, at: datetime
) -> Decimal | None:
    """Return US dollars by the bundled price list, unrounded; None if it lacks a price that the call needs."""
    usage = Usage(  # here the input includes cached tokens
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
    is_incomplete = (tokens.all_input and rates.input_mtok is None) or (tokens.output and rates.output_mtok is None)
    return None if is_incomplete or not _is_exact(calculated, billing, at=at) else calculated.total_price


def _is_exact(calculated: PriceCalculation, billing: Billing, *, at: datetime) -> bool:
    """Return whether the bundled list has a price for these conditions; otherwise it used the standard price."""
    rates = calculated.model_price
    has_several_tiers = len(billing.contexts) > len(dict(billing.contexts))  # the list has prices for one tier
    if has_several_tiers or billing.unpriced or (billing.searches and rates.web_searches_kcount is None):
        return False
    if billing.cache_write_1h and rates.cache_write_1h_mtok is None:
        return False
    known = [
        variant.when
        for variant in calculated.model.price_variants or ()
        if variant.constraint is None or variant.constraint.active(at)
    ]
    return all({name: value} in known for name, value in billing.contexts)


def _round(dollars: Decimal | None) -> Decimal | None:
    if dollars is None or dollars >= _IMPLAUSIBLE:
        return None
    return dollars.quantize(_TEN_DECIMALS, rounding=ROUND_HALF_EVEN)
