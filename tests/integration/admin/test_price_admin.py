"""Prices, as staff set them in the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from access.user import User
from telemetry.models import Price
from telemetry.pricing import prices

pytestmark = pytest.mark.django_db

ADD = "admin:telemetry_price_add"
TIER = {"above_input_tokens": 200000, "input": "2.5", "output": "15"}
FORM = {
    "provider": " OpenAI ",
    "model": "Qwen*",
    "effective_from_0": "2026-11-01",
    "effective_from_1": "00:00:00",
    "input_usd": "1.25",
    "cache_read_usd": "0.125",
    "cache_write_usd": "",
    "output_usd": "10",
    "tiers": "[]",
    "version": "",
}


def test_staff_set_a_price_by_which_calls_are_priced(admin_client: Client) -> None:
    form = {**FORM, "tiers": '[{"above_input_tokens": 200000, "input": 2.5, "output": "15"}]'}
    response = admin_client.post(reverse(ADD), form, follow=True)
    assert b"manage.py reprice --from 2026-11-01 --dry-run" in response.content
    assert b"200,000" in response.content
    row = Price.objects.get()
    assert (row.provider, row.model, row.version, row.tiers) == ("openai", "qwen*", 1, [TIER])
    assert row.effective_from == datetime(2026, 11, 1, tzinfo=UTC)
    prices.CONFIGURED.load()
    most = prices.max_price("openai:qwen3", input_tokens=10**6, output_tokens=0, at=row.effective_from)
    assert most == Decimal("2.5")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider": "rehearsal"}, "provider"),
        ({"provider": "openai:qwen"}, "provider"),
        ({"provider": "open*"}, "provider"),
        ({"model": " "}, "model"),
        ({"input_usd": "-1"}, "input_usd"),
        ({"output_usd": ""}, "output_usd"),
        ({"output_usd": "1000001"}, "output_usd"),
        ({"tiers": "[{}]"}, "tiers"),
        ({"tiers": "no JSON"}, "tiers"),
        ({"tiers": '[{"above_input_tokens": ' + "9" * 5_000 + ', "input": 1, "output": 1}]'}, "tiers"),
        ({"tiers": '[{"above_input_tokens": ' + "9" * 4_000 + ', "input": 1, "output": 1}]'}, "tiers"),
        ({"tiers": '[{"above_input_tokens": "' + "9" * 5_000 + '", "input": 1, "output": 1}]'}, "tiers"),
        ({"tiers": '[{"above_input_tokens": 1, "input": ' + "9" * 5_000 + ', "output": 1}]'}, "tiers"),
        ({"tiers": '[{"above_input_tokens": 1, "input": "' + "9" * 5_000 + '", "output": 1}]'}, "tiers"),
        ({"tiers": '[{"above_input_tokens": 1, "input": 1e999, "output": 1}]'}, "tiers"),
        ({"tiers": '[{"above_input_tokens": NaN, "input": 1, "output": 1}]'}, "tiers"),
        ({"tiers": "[" * 100_000}, "tiers"),
    ],
)
def test_what_is_no_price_is_refused_beside_its_field(admin_client: Client, change: dict[str, str], field: str) -> None:
    response: Any = admin_client.post(reverse(ADD), {**FORM, **change})
    assert list(response.context["adminform"].form.errors) == [field]
    assert not Price.objects.exists()


def test_a_model_has_one_price_from_one_moment_on(admin_client: Client) -> None:
    assert admin_client.post(reverse(ADD), FORM).status_code == 302
    again = admin_client.post(reverse(ADD), {**FORM, "provider": "openai", "model": "qwen*"})
    assert b"This model already has a price from this time on." in again.content
    assert admin_client.post(reverse(ADD), {**FORM, "effective_from_0": "2026-12-01"}).status_code == 302
    assert Price.objects.count() == 2


def test_of_two_editors_of_a_price_the_second_is_told_to_read_again(admin_client: Client) -> None:
    admin_client.post(reverse(ADD), FORM)
    path = reverse("admin:telemetry_price_change", args=[Price.objects.get().pk])
    assert admin_client.post(path, {**FORM, "input_usd": "2", "version": "1"}).status_code == 302
    late = admin_client.post(path, {**FORM, "input_usd": "3", "version": "1"})
    assert b"Another user has changed this price" in late.content
    row = Price.objects.get()
    assert (row.input_usd, row.version) == (Decimal(2), 2)


def test_staff_without_the_right_to_prices_set_none(client: Client, staff: User) -> None:
    client.force_login(staff)
    assert client.post(reverse(ADD), FORM).status_code == 403
    assert not Price.objects.exists()
