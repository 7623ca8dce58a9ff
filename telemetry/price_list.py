"""Configured prices: selection of the price for a call, and its cost. Pure, without a database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

#: Free: runs on the server itself.
FREE_PROVIDERS = frozenset({"rehearsal"})
#: Run on the operator's machines; free unless a price is configured.
LOCAL_PROVIDERS = frozenset({"ollama"})
MAX_RATE = 1_000_000  # US dollars per million tokens
MAX_TIER_TOKENS = 10**12  # max threshold of a tier
_MILLION = 1_000_000
_ANY = "*"  # in a pattern: any characters or none
#: US dollars per million tokens.
Rate = Annotated[Decimal, Field(ge=0, le=MAX_RATE, decimal_places=8, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of one call, in disjoint buckets. `output` includes reasoning tokens."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0

    @property
    def all_input(self) -> int:
        """All input tokens, cached or not."""
        return self.input + self.cache_read + self.cache_write


class Billing(BaseModel):
    """Conditions that change the price of a call besides its tokens. Without any, the standard price applies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiers: tuple[str, ...] = ()  # service tiers, as the provider names them
    cache_write_1h: Annotated[int, Field(ge=0)] = 0  # tokens written to a cache for one hour; a part of `cache_write`
    searches: Annotated[int, Field(ge=0)] = 0  # web searches by the provider's own tool
    unpriced: tuple[str, ...] = ()  # features whose prices are unknown

    @property
    def contexts(self) -> tuple[tuple[str, str], ...]:
        """The tiers, as the bundled price list names them."""
        return tuple(_CONTEXTS.get(tier, ("service_tier", tier)) for tier in self.tiers)


#: Tiers that the bundled price list does not call service tiers.
_CONTEXTS = {"batch": ("processing", "batch"), "speed=fast": ("speed", "fast")}
PLAIN = Billing()


class Rates(BaseModel):
    """US dollars per million tokens of each bucket. Cached tokens without a rate of their own cost as much as input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    output: Rate

    def cost(self, tokens: Tokens) -> Decimal:
        """Return US dollars, unrounded."""
        read, written = (self.input if rate is None else rate for rate in (self.cache_read, self.cache_write))
        dollars = (
            tokens.input * self.input
            + tokens.cache_read * read
            + tokens.cache_write * written
            + tokens.output * self.output
        )
        return dollars / _MILLION

    def max_cost(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return US dollars with the highest input rate."""
        highest = max(rate for rate in (self.input, self.cache_read, self.cache_write) if rate is not None)
        return (input_tokens * highest + output_tokens * self.output) / _MILLION


class Tier(Rates):
    """Rates of a whole call if its input, cached or not, is longer than `above_input_tokens`."""

    above_input_tokens: Annotated[int, Field(ge=1, le=MAX_TIER_TOKENS)]


_TIERS: TypeAdapter[list[Tier]] = TypeAdapter(list[Tier])


class BadTiers(ValueError):
    """Invalid tiers."""


def parse_tiers(value: object) -> tuple[Tier, ...]:
    """Parse tiers from JSON, and sort them by threshold.

    Raises:
        BadTiers: the JSON has another form, or a duplicate threshold.
    """
    try:
        tiers = sorted(_TIERS.validate_python(value), key=lambda tier: tier.above_input_tokens)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadTiers(f"{where}: {first['msg']}" if where else first["msg"]) from error
    if len({tier.above_input_tokens for tier in tiers}) < len(tiers):
        raise BadTiers("Two tiers have the same threshold.")
    return tuple(tiers)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNames:
    """Names of a call's provider and model: first as requested, then as the provider names them."""

    providers: Sequence[str]
    models: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class ConfiguredPrice:
    """A configured price. Names are in lower case; in `model` a `*` matches any characters."""

    provider: str
    model: str
    effective_from: datetime
    rates: Rates
    tiers: tuple[Tier, ...] = ()  # by threshold

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.model.split(_ANY))), re.DOTALL)

    @cached_property
    def specificity(self) -> tuple[bool, int, int, str]:
        """Sort key of patterns: without `*`, then longer prefix, then more characters, then alphabetical."""
        literal = self.model.replace(_ANY, "")
        return _ANY not in self.model, len(self.model.partition(_ANY)[0]), len(literal), self.model

    def matches(self, names: CallNames) -> bool:
        """Return whether the price applies to a call with these names."""
        return self.provider in names.providers and any(self._pattern.fullmatch(each) for each in names.models)

    def cost(self, tokens: Tokens) -> Decimal:
        """Return US dollars, unrounded, with the rates of the call's tier."""
        reached = [tier for tier in self.tiers if tokens.all_input > tier.above_input_tokens]
        return (reached[-1] if reached else self.rates).cost(tokens)

    def max_cost(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return the max US dollars for up to so many tokens. A higher tier may be cheaper than a lower one."""
        bounds = [tier.above_input_tokens for tier in self.tiers if tier.above_input_tokens < input_tokens]
        lengths = zip((self.rates, *self.tiers), (*bounds, input_tokens), strict=False)
        return max(rates.max_cost(length, output_tokens) for rates, length in lengths)


class PriceList:
    """All configured prices."""

    def __init__(self, prices: Iterable[ConfiguredPrice] = ()) -> None:
        self._prices = tuple(prices)

    def find(self, names: CallNames, *, at: datetime) -> ConfiguredPrice | None:
        """Return the price of a call made at that time: the most specific one, and the newest of equal patterns.

        A price for the provider's requested name has priority over a price for another name of the provider.
        """
        matching = [price for price in self._prices if price.effective_from <= at and price.matches(names)]
        requested = names.providers[0]
        return max(
            matching,
            key=lambda price: (price.provider == requested, price.specificity, price.effective_from),
            default=None,
        )
