"""The cost of a call: known, free or unknown; never guessed, and never requested over the network."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from telemetry.models import Price
from telemetry.price_list import Billing
from telemetry.pricing import prices
from telemetry.pricing.prices import price

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


NONE = {
    "input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_write_input_tokens": 0,
    "output_tokens": 0,
}


def cost(tokens: dict[str, int], *, model: str = "claude-sonnet-4-5", **names: str) -> Decimal | None:
    given: dict[str, Any] = {"provider": "anthropic", **names, **NONE, **tokens}
    return price(model=model, at=AT, **given)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a price was asked of the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ({"input_tokens": 100_000}, "0.3000000000"),
        ({"output_tokens": 100_000}, "1.5000000000"),
        ({"cache_read_input_tokens": 100_000}, "0.0300000000"),
        ({"cache_write_input_tokens": 100_000}, "0.3750000000"),
        ({"input_tokens": 1}, "0.0000030000"),
        (
            {
                "input_tokens": 1_000,
                "cache_read_input_tokens": 1_000,
                "cache_write_input_tokens": 1_000,
                "output_tokens": 1_000,
            },
            "0.0220500000",
        ),
    ],
)
def test_each_bucket_has_its_own_price(tokens: dict[str, int], expected: str) -> None:
    assert f"{cost(tokens):f}" == expected


def test_a_price_is_rounded_once_to_ten_decimals() -> None:
    found = cost({"input_tokens": 1, "cache_read_input_tokens": 1}, model="gpt-4o-mini", provider="openai")
    assert found is not None
    assert found == Decimal("0.0000002250")
    assert found.as_tuple().exponent == -10


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "no-such-model"),
        ("no-such-provider", "claude-sonnet-4-5"),
        ("openai", "claude-sonnet-4-5"),
        ("", ""),
    ],
)
def test_an_unknown_price_is_none_and_no_other_model_s_price(provider: str, model: str) -> None:
    assert cost({"input_tokens": 100}, provider=provider, model=model) is None


def test_a_rehearsal_costs_nothing() -> None:
    assert cost({"input_tokens": 100}, provider="rehearsal", model="rehearsal") == Decimal(0)


@pytest.mark.parametrize("model", ["devstral-small:free", "mistral-ocr-latest", "codestral-embed-2505"])
def test_a_model_whose_listed_price_lacks_what_the_call_used_costs_an_unknown_amount(model: str) -> None:
    assert cost({"input_tokens": 10, "output_tokens": 10}, provider="mistral", model=model) is None


def test_a_reply_for_which_nothing_was_counted_costs_an_unknown_amount_unless_its_model_is_free() -> None:
    assert cost({}) is None
    assert cost({}, provider="rehearsal", model="rehearsal") == Decimal(0)


@pytest.mark.django_db
@pytest.mark.parametrize(("rate", "wanted"), [("1", None), ("0", Decimal(0))])
def test_a_price_of_ones_own_is_that_of_the_plain_terms_unless_it_is_nothing(rate: str, wanted: Decimal | None) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    Price.objects.create(provider="openai", model="gpt-5", effective_from=since, input_usd=rate, output_usd=rate)
    prices.CONFIGURED.load()
    names: dict[str, Any] = {"provider": "openai", "model": "gpt-5", "at": AT, **NONE, "input_tokens": 1_000_000}
    assert price(**names) == Decimal(rate)
    assert price(**names, billing=Billing(tiers=("flex",))) == wanted


def test_several_tiers_at_once_have_no_known_price() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    names: dict[str, Any] = {"provider": "openai", "model": "gpt-5", "at": at, **NONE, "input_tokens": 1_000_000}
    assert price(**names, billing=Billing(tiers=("flex",))) == Decimal("0.625")
    assert price(**names, billing=Billing(tiers=("flex", "priority"))) is None


def test_a_tier_has_no_known_price_before_the_list_has_one() -> None:
    names: dict[str, Any] = {"provider": "openai", "model": "gpt-5", "at": AT, **NONE, "input_tokens": 1_000_000}
    assert price(**names, billing=Billing(tiers=("flex",))) is None


def test_a_cost_that_no_call_can_have_is_not_known() -> None:
    assert cost({"input_tokens": 10**18}) is None
    assert cost({"input_tokens": 10**15}) == Decimal("6000000000.0000000000")  # a long call: twice the price


def test_the_most_that_a_call_may_cost_is_in_the_dearest_way() -> None:
    def most(requested: str) -> Decimal | None:
        return prices.max_price(requested, input_tokens=1_000_000, output_tokens=1000, at=AT)

    assert most("anthropic:claude-haiku-4-5") == Decimal("1.255")  # $1.25 to write a cache, $5 for output
    assert most("openai:gpt-4o-mini") == Decimal("0.1506")  # writing a cache has no price of its own
    read = {"cache_read_input_tokens": 1_000_000, "output_tokens": 1000}
    dear_to_read = {"provider": "openrouter", "model": "~deepseek/deepseek-pro-latest"}
    assert most(":".join(dear_to_read.values())) == cost(read, **dear_to_read)
    assert (most("rehearsal:rehearsal"), most("unknown:model")) == (Decimal(0), None)


# What people have set


def have(**changes: Any) -> Price:
    """Set a price, and let this process know."""
    given = {"provider": "openai", "model": "qwen*", "effective_from": AT, "input_usd": "1", "output_usd": "2"}
    row = Price(**{**given, **changes})
    row.full_clean()
    row.save()
    prices.CONFIGURED.load()
    return row


@pytest.mark.django_db
def test_a_price_in_the_database_goes_before_the_shipped_list() -> None:
    assert cost({"input_tokens": 100_000}) == Decimal("0.3")
    have(provider="anthropic", model="claude-sonnet-4*", input_usd="0.5", cache_read_usd="0.05")
    assert cost({"input_tokens": 100_000}) == Decimal("0.05")
    assert cost({"cache_read_input_tokens": 1, "output_tokens": 1}) == Decimal("0.0000020500")
    assert cost({"input_tokens": 1_000_000}, model="claude-haiku-4-5") == 1


@pytest.mark.django_db
def test_a_local_model_is_free_by_a_price_of_zero() -> None:
    assert (prices.is_free("openai:qwen3:8b", at=AT), prices.is_priced("openai:qwen3:8b", at=AT)) == (False, False)
    have(input_usd=0, output_usd=0)
    assert (prices.is_free("openai:qwen3:8b", at=AT), prices.is_priced("openai:qwen3:8b", at=AT)) == (True, True)
    assert prices.max_price("openai:qwen3:8b", input_tokens=10**6, output_tokens=10**6, at=AT) == 0
    names = {"provider": "openai", "model": "qwen3:8b"}
    assert cost({"input_tokens": 10**6}, **names) == cost({}, **names) == 0
    assert (prices.is_free("openai:gpt-5", at=AT), prices.is_priced("openai:gpt-5", at=AT)) == (False, True)


@pytest.mark.django_db
def test_local_models_are_free_unless_a_price_is_set() -> None:
    assert cost({"output_tokens": 1_000_000}, provider="ollama", model="qwen3") == 0
    assert prices.is_free("ollama:qwen3", at=AT)
    have(provider="ollama", model="*")
    assert cost({"output_tokens": 1_000_000}, provider="ollama", model="qwen3") == 2
    assert not prices.is_free("ollama:qwen3", at=AT)


@pytest.mark.django_db
def test_a_model_is_not_free_whose_tier_costs_something() -> None:
    have(input_usd=0, output_usd=0, tiers=[{"above_input_tokens": 5_000_000, "input": 0, "output": "0.01"}])
    assert not prices.is_free("openai:qwen3", at=AT)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("requested", "provider", "model"),
    [
        ("openai:qwen3", "openai", "/models/weights.gguf"),  # by what was asked for
        ("openai:fast", "openai", "qwen3-8b"),  # by what answered
        ("openai-chat:qwen3", "openai", "qwen3"),
        ("openai-responses:QWEN3", "openai-responses", "Qwen3"),
        ("", "openai", "qwen3"),
    ],
)
def test_a_call_is_known_by_what_was_asked_for_and_by_what_answered(requested: str, provider: str, model: str) -> None:
    have()
    assert cost({"input_tokens": 10}, provider=provider, model=model, requested=requested) == Decimal("0.0000100000")


@pytest.mark.django_db
def test_what_was_asked_for_makes_no_other_model_s_price_of_the_list() -> None:
    assert cost({"input_tokens": 10}, provider="openai", model="weights", requested="openai:gpt-5") is None


@pytest.mark.django_db
def test_a_cost_by_such_a_price_is_rounded_once() -> None:
    have(input_usd="0.00003333", output_usd="0.00003333")
    each = cost({"input_tokens": 1}, provider="openai", model="qwen3")
    both = cost({"input_tokens": 1, "output_tokens": 1}, provider="openai", model="qwen3")
    assert (each, both) == (Decimal("0.0000000000"), Decimal("0.0000000001"))


@pytest.mark.django_db
def test_pricing_does_not_look_into_the_database(django_assert_num_queries: Any) -> None:
    have()
    with django_assert_num_queries(0):
        assert cost({"input_tokens": 10}, provider="openai", model="qwen3") is not None
        assert prices.max_price("openai:qwen3", input_tokens=1, output_tokens=1, at=AT) is not None
        prices.CONFIGURED.get(max_age=60)
    with django_assert_num_queries(1):
        prices.CONFIGURED.get(max_age=0)


@pytest.mark.django_db
def test_a_process_that_looks_again_knows_what_was_changed_and_taken_away() -> None:
    row = have(input_usd=1)
    Price.objects.filter(pk=row.pk).update(input_usd=9)
    assert cost({"input_tokens": 10**6}, provider="openai", model="qwen3") == 1
    prices.CONFIGURED.load()
    assert cost({"input_tokens": 10**6}, provider="openai", model="qwen3") == 9
    row.delete()
    prices.CONFIGURED.load()
    assert cost({"input_tokens": 10**6}, provider="openai", model="qwen3") is None
