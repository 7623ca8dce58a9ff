"""Prices that people have set: which of them counts for a call, and what the call costs by it. No database in here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

#: Costs nothing: it runs here.
FREE_PROVIDERS = frozenset({"rehearsal"})
#: Runs on a machine of one's own, and costs nothing unless somebody has set a price.
LOCAL_PROVIDERS = frozenset({"ollama"})
MOST_RATE = 1_000_000  # US dollars per million tokens
MOST_TOKENS = 10**12  # above which a tier may begin
_MILLION = 1_000_000
_ANY = "*"  # in a pattern: any characters, also none
#: US dollars per million tokens.
Rate = Annotated[Decimal, Field(ge=0, le=MOST_RATE, decimal_places=8, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of one call, in disjoint buckets; those of reasoning are a part of `output`."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0

    @property
    def all_input(self) -> int:
        """All that was read, from a cache or not."""
        return self.input + self.cache_read + self.cache_write


class Billing(BaseModel):
    """What changes the price of a call besides its tokens. Without any of it the plain price holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiers: tuple[str, ...] = ()  # of service, as the provider names them
    cache_write_1h: Annotated[int, Field(ge=0)] = 0  # of the tokens written to a cache, those kept for an hour
    searches: Annotated[int, Field(ge=0)] = 0  # of the web, by the provider's own tool
    unpriced: tuple[str, ...] = ()  # what has a price that no list knows

    @property
    def contexts(self) -> tuple[tuple[str, str], ...]:
        """The tiers, as the list that ships names them."""
        return tuple(_CONTEXTS.get(tier, ("service_tier", tier)) for tier in self.tiers)


#: What is not called a service tier on the list that ships.
_CONTEXTS = {"batch": ("processing", "batch"), "speed=fast": ("speed", "fast")}
PLAIN = Billing()


class Rates(BaseModel):
    """What a million tokens of each bucket cost. A price of cached tokens that is not given is that of input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    output: Rate

    def cost(self, tokens: Tokens) -> Decimal:
        """Return US dollars, not rounded."""
        read, written = (self.input if rate is None else rate for rate in (self.cache_read, self.cache_write))
        dollars = (
            tokens.input * self.input
            + tokens.cache_read * read
            + tokens.cache_write * written
            + tokens.output * self.output
        )
        return dollars / _MILLION

    def most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return US dollars for so many tokens, each one read in the dearest way."""
        dearest = max(rate for rate in (self.input, self.cache_read, self.cache_write) if rate is not None)
        return (input_tokens * dearest + output_tokens * self.output) / _MILLION


class Tier(Rates):
    """What the whole of a call costs whose input, cached or not, is longer than `above_input_tokens`."""

    above_input_tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)]


_TIERS: TypeAdapter[list[Tier]] = TypeAdapter(list[Tier])


class BadTiers(ValueError):
    """What was given are no tiers."""


def parse_tiers(value: object) -> tuple[Tier, ...]:
    """Return tiers from JSON, the lowest first.

    Raises:
        BadTiers: it has another shape, or the same threshold twice.
    """
    try:
        tiers = sorted(_TIERS.validate_python(value), key=lambda tier: tier.above_input_tokens)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadTiers(f"{where}: {first['msg']}" if where else first["msg"]) from error
    if len({tier.above_input_tokens for tier in tiers}) < len(tiers):
        raise BadTiers("Two tiers begin above the same number of tokens.")
    return tuple(tiers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The names that a call is known by: as it was asked for first, then as the provider names it."""

    providers: Sequence[str]
    models: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class OwnPrice:
    """One price that somebody has set. Names are in lower case; in `model` a `*` stands for any characters."""

    provider: str
    model: str
    effective_from: datetime
    rates: Rates
    tiers: tuple[Tier, ...] = ()  # the lowest first

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.model.split(_ANY))), re.DOTALL)

    @cached_property
    def specificity(self) -> tuple[bool, int, int, str]:
        """What patterns are compared by: one without `*`, the longer beginning, more characters, the alphabet."""
        literal = self.model.replace(_ANY, "")
        return _ANY not in self.model, len(self.model.partition(_ANY)[0]), len(literal), self.model

    def fits(self, named: Named) -> bool:
        """Whether it is a price of such a call."""
        return self.provider in named.providers and any(self._pattern.fullmatch(each) for each in named.models)

    def cost(self, tokens: Tokens) -> Decimal:
        """Return US dollars, not rounded: all of a call costs what its tier says."""
        reached = [tier for tier in self.tiers if tokens.all_input > tier.above_input_tokens]
        return (reached[-1] if reached else self.rates).cost(tokens)

    def most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return US dollars for so many tokens or fewer, in the dearest way: a higher tier may be the cheaper one."""
        bounds = [tier.above_input_tokens for tier in self.tiers if tier.above_input_tokens < input_tokens]
        lengths = zip((self.rates, *self.tiers), (*bounds, input_tokens), strict=False)
        return max(rates.most(length, output_tokens) for rates, length in lengths)


class PriceList:
    """All prices that people have set."""

    def __init__(self, prices: Iterable[OwnPrice] = ()) -> None:
        self._prices = tuple(prices)

    def find(self, named: Named, *, at: datetime) -> OwnPrice | None:
        """Return the price of a call made at that time: the most specific one, and of its line the newest.

        A price for the provider as it was asked for goes before one for another name of the provider.
        """
        fitting = [price for price in self._prices if price.effective_from <= at and price.fits(named)]
        asked = named.providers[0]
        return max(
            fitting, key=lambda price: (price.provider == asked, price.specificity, price.effective_from), default=None
        )
