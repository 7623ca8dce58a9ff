"""The price that applies to a call, and the resulting cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.price_list import BadTiers, CallNames, ConfiguredPrice, PriceList, Rates, Tier, Tokens, parse_tiers

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LONG = {"above_input_tokens": 200_000, "input": "4", "cache_read": "1", "output": "20"}


def own(model: str, dollars: str = "1", *, provider: str = "openai", **more: Any) -> ConfiguredPrice:
    rates = Rates(input=Decimal(dollars), output=Decimal(dollars))
    return ConfiguredPrice(**{"provider": provider, "model": model, "effective_from": NOON, "rates": rates, **more})


def chosen(*prices: ConfiguredPrice, model: str = "gpt-5-mini", at: datetime = NOON) -> ConfiguredPrice | None:
    """Return the same price in whatever order they are known."""
    named = CallNames(providers=("openai",), models=(model,))
    found = {PriceList(order).find(named, at=at) for order in (prices, prices[::-1])}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize(
    ("pattern", "model", "fits"),
    [
        ("gpt-5*", "gpt-5-mini", True),
        ("gpt-5*", "gpt-5", True),
        ("gpt-5*", "a-gpt-5", False),
        ("gpt-5", "gpt-5-mini", False),
        ("*mini", "gpt-5-mini", True),
        ("gpt*mini*", "gpt-5-mini-2026", True),
        ("*", "anything/at:all", True),
        ("gpt.5", "gpt-5", False),
        ("qwen[3]", "qwen3", False),
        ("qwen[3]", "qwen[3]", True),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_is_special(pattern: str, model: str, fits: bool) -> None:
    assert own(pattern).matches(CallNames(providers=("openai",), models=(model,))) is fits


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        ("gpt-5-mini", "gpt-5-mini*"),
        ("gpt-5-mini", "gpt-5-min*"),
        ("gpt-5-*", "gpt-5*"),
        ("gpt-5*", "gpt*mini"),
        ("gpt*mini", "gpt*"),
        ("gpt*", "*gpt-5-mini"),
        ("*-mini", "*"),
    ],
)
def test_the_most_specific_name_counts(winner: str, loser: str) -> None:
    first, second = own(winner), own(loser)
    assert chosen(first, second) is first


def test_of_one_name_the_newest_price_that_holds_already_counts() -> None:
    old, new = own("gpt-5*"), own("gpt-5*", effective_from=NOON + timedelta(days=1))
    assert chosen(old, new, at=NOON - timedelta(microseconds=1)) is None
    assert chosen(old, new, at=NOON) is old
    assert chosen(old, new, at=NOON + timedelta(hours=23)) is old
    assert chosen(old, new, at=NOON + timedelta(days=1)) is new


def test_a_more_specific_name_counts_from_its_own_beginning_on() -> None:
    broad, narrow = own("gpt-5*"), own("gpt-5-mini", effective_from=NOON + timedelta(days=1))
    assert chosen(broad, narrow) is broad
    assert chosen(broad, narrow, at=NOON + timedelta(days=9)) is narrow
    newer = own("gpt-5*", effective_from=NOON + timedelta(days=2))
    assert chosen(broad, narrow, newer, at=NOON + timedelta(days=9)) is narrow


def test_the_provider_as_it_was_asked_for_counts_before_its_general_name() -> None:
    chat, general = own("*", provider="openai-chat"), own("gpt-5-mini")
    prices = PriceList([general, chat])
    asked = CallNames(providers=("openai-chat", "openai"), models=("gpt-5-mini",))
    assert prices.find(asked, at=NOON) is chat
    assert prices.find(CallNames(providers=("openai",), models=("gpt-5-mini",)), at=NOON) is general
    assert prices.find(CallNames(providers=("anthropic",), models=("gpt-5-mini",)), at=NOON) is None


def test_a_cache_price_that_is_not_given_is_that_of_input() -> None:
    rates = Rates(input=Decimal(2), output=Decimal(8))
    million = 1_000_000
    assert rates.cost(Tokens(cache_read=million)) == rates.cost(Tokens(cache_write=million)) == 2
    cached = Rates(input=Decimal(2), cache_read=Decimal(0), cache_write=Decimal("2.5"), output=Decimal(8))
    assert cached.cost(Tokens(cache_read=million)) == 0
    assert cached.cost(Tokens(input=million, cache_read=million, cache_write=million, output=million)) == Decimal(
        "12.5"
    )


def test_the_whole_of_a_long_call_is_priced_in_its_tier() -> None:
    price = own("gpt-5", tiers=parse_tiers([{**LONG, "above_input_tokens": 400_000, "input": "6"}, LONG]))
    assert price.cost(Tokens(input=200_000)) == Decimal("0.2")
    assert price.cost(Tokens(input=200_001)) == Decimal("0.800004")
    assert price.cost(Tokens(input=1, cache_read=100_000, cache_write=100_000, output=1_000_000)) == Decimal(
        "20.500004"
    )
    assert price.cost(Tokens(output=900_000)) == Decimal("0.9")  # what is written does not make it long
    assert price.cost(Tokens(input=500_000)) == 3


@pytest.mark.parametrize(
    "tiers",
    [
        {"above_input_tokens": 1},
        [{"above_input_tokens": 1, "input": 1}],
        [{**LONG, "above_input_tokens": 0}],
        [{**LONG, "input": "-1"}],
        [{**LONG, "input": "NaN"}],
        [{**LONG, "input": "0.000000001"}],
        [{**LONG, "inptu": 1}],
        [LONG, LONG],
        "long",
        [None],
    ],
)
def test_what_are_no_tiers_is_refused(tiers: object) -> None:
    with pytest.raises(BadTiers):
        parse_tiers(tiers)


def test_tiers_are_read_as_people_write_them_and_kept_in_order() -> None:
    second = {"above_input_tokens": 400_000, "input": 4.1, "output": 20}
    found = parse_tiers([second, LONG])
    assert [(tier.above_input_tokens, tier.input) for tier in found] == [(200_000, 4), (400_000, Decimal("4.1"))]


rate = st.decimals(0, 100, places=4)
count = st.integers(0, 1000)


@st.composite
def rates_of(draw: st.DrawFn) -> dict[str, Decimal | None]:
    cached = st.none() | rate
    return {"input": draw(rate), "cache_read": draw(cached), "cache_write": draw(cached), "output": draw(rate)}


@st.composite
def prices(draw: st.DrawFn) -> ConfiguredPrice:
    thresholds = draw(st.lists(st.integers(1, 3000), max_size=3, unique=True))
    tiers = [Tier.model_validate({**draw(rates_of()), "above_input_tokens": each}) for each in sorted(thresholds)]
    return own("gpt-5", rates=Rates.model_validate(draw(rates_of())), tiers=tuple(tiers))


@given(price=prices(), buckets=st.tuples(count, count, count, count), more=st.integers(0, 2000))
def test_no_call_costs_more_than_the_most_that_its_length_allows(
    price: ConfiguredPrice, buckets: tuple[int, int, int, int], more: int
) -> None:
    tokens = Tokens(input=buckets[0], cache_read=buckets[1], cache_write=buckets[2], output=buckets[3])
    assert price.cost(tokens) <= price.max_cost(tokens.all_input + more, tokens.output + more)


@given(price=prices(), buckets=st.tuples(count, count, count, count))
def test_a_price_is_the_sum_over_its_buckets(price: ConfiguredPrice, buckets: tuple[int, int, int, int]) -> None:
    flat = own("gpt-5", rates=price.rates)
    names = ("input", "cache_read", "cache_write", "output")
    parts = [flat.cost(Tokens(**{name: number})) for name, number in zip(names, buckets, strict=True)]
    assert sum(parts) == flat.cost(Tokens(**dict(zip(names, buckets, strict=True))))
