"""What a call costs: known, free, or not known; never guessed, and never asked of the network."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from telemetry.prices import price

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


NONE = {
    "input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_write_input_tokens": 0,
    "output_tokens": 0,
}


def cost(tokens: dict[str, int], *, model: str = "claude-sonnet-4-5", provider: str = "anthropic") -> Decimal | None:
    return price(provider=provider, model=model, at=AT, **{**NONE, **tokens})


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
        ({}, "0.0000000000"),
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
