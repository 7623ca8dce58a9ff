"""Rate limits of models in the admin: create, change, and reject a change of an outdated version."""

from __future__ import annotations

import pytest
from django.test import Client

from telemetry.models import ModelLimit

pytestmark = pytest.mark.django_db
ADD = "/admin/telemetry/modellimit/add/"


def test_a_limit_is_set_and_changed(admin_client: Client) -> None:
    assert admin_client.post(ADD, {"provider": "openai", "model": "gpt-*", "calls_at_once": 3}).status_code == 302
    row = ModelLimit.objects.get()
    assert (row.calls_at_once, row.requests_per_minute, row.version) == (3, None, 1)
    path = f"/admin/telemetry/modellimit/{row.id}/change/"
    form = {"provider": "openai", "model": "gpt-*", "requests_per_minute": 60, "version": 1}
    assert admin_client.post(path, form).status_code == 302
    row.refresh_from_db()
    assert (row.calls_at_once, row.requests_per_minute, row.version) == (None, 60, 2)
    late = admin_client.post(path, form)
    assert "Another user has changed this limit" in late.content.decode()


@pytest.mark.parametrize("provider", ["open ai", "openai:gpt-5", "open*", "-"])
def test_a_provider_that_no_call_has_is_refused(admin_client: Client, provider: str) -> None:
    response = admin_client.post(ADD, {"provider": provider, "model": "gpt-*", "calls_at_once": 3})
    assert "Enter the provider" in response.content.decode()


def test_a_limit_of_nothing_is_refused(admin_client: Client) -> None:
    response = admin_client.post(ADD, {"provider": "openai", "model": "*"})
    assert "Enter at least one limit." in response.content.decode()


def test_names_are_stored_as_calls_have_them(admin_client: Client) -> None:
    admin_client.post(ADD, {"provider": " OpenAI ", "model": " GPT-* ", "calls_at_once": 3})
    assert str(ModelLimit.objects.get()) == "openai:gpt-*"


def test_a_limit_that_lets_nothing_through_is_refused(admin_client: Client) -> None:
    response = admin_client.post(ADD, {"provider": "openai", "model": "*", "calls_at_once": 0})
    assert response.status_code == 200
    assert not ModelLimit.objects.exists()
