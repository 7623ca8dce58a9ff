"""What tokens cost, by the price list that ships with genai-prices."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from genai_prices import Usage, calc_price

#: Costs nothing: it runs here.
FREE_PROVIDERS = frozenset({"rehearsal"})
_TEN_DECIMALS = Decimal("0.0000000001")


def price(
    *,
    provider: str,
    model: str,
    input_tokens: int,
    cache_read_input_tokens: int,
    cache_write_input_tokens: int,
    output_tokens: int,
    at: datetime,
) -> Decimal | None:
    """Return the cost of one call in US dollars, rounded once to ten decimals; None when the model has no known price.

    `input_tokens` counts those that were neither read from nor written to a cache.
    """
    if provider in FREE_PROVIDERS:
        return Decimal(0).quantize(_TEN_DECIMALS)
    # The price list counts cached tokens as a part of the input.
    usage = Usage(
        input_tokens=input_tokens + cache_read_input_tokens + cache_write_input_tokens,
        cache_read_tokens=cache_read_input_tokens,
        cache_write_tokens=cache_write_input_tokens,
        output_tokens=output_tokens,
    )
    try:
        calculated = calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)
    except LookupError:
        return None
    return calculated.total_price.quantize(_TEN_DECIMALS, rounding=ROUND_HALF_EVEN)
