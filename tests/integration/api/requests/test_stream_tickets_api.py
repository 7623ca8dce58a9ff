"""Tickets over HTTP: who gets one, and that it opens only its stream."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from access.permissions import Role
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(ada: Caller, report: int) -> str:
    """Where tickets for an execution of Ada's are got."""
    return f"/executions/{reports.start(ada.user).id}/stream-tickets"


def seconds_left(response: Any) -> float:
    """Return how long a ticket is good for."""
    assert response.status_code == 201, response.content
    body = response.json()
    assert set(body) == {"ticket", "expires_at"}
    assert body["ticket"]
    assert body["expires_at"].endswith("Z")
    return (datetime.fromisoformat(body["expires_at"]) - timezone.now()).total_seconds()


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("body", "seconds"), [(None, 300), ({}, 300), ({"seconds": 1}, 1), ({"seconds": 900}, 900)])
def test_a_ticket_is_good_for_as_long_as_was_asked(
    ada: Caller, path: str, body: object, seconds: int, slash: str
) -> None:
    response = ada.post(path + slash, body)
    assert seconds - 30 <= seconds_left(response) <= seconds
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("body", [{"seconds": 0}, {"seconds": 901}, {"seconds": "soon"}, {"second": 60}])
def test_no_ticket_is_good_for_more_than_15_minutes(ada: Caller, path: str, body: object) -> None:
    response = ada.post(path, body)
    assert response.status_code == 422
    assert pointers(response) == {f"/{next(iter(body))}"}  # type: ignore[call-overload]


def test_only_users_with_access_get_a_ticket(ada: Caller, eve: Caller, path: str) -> None:
    assert eve.post(path).status_code == 404
    assert ada.post(f"/executions/{uuid4()}/stream-tickets").status_code == 404
    assert Client().post(f"/api/v1{path}").status_code == 401
    grant(eve.user, "alpha", Role.VIEWER)
    assert seconds_left(eve.post(path)) > 0


def test_a_session_gets_one_too_if_the_page_is_ours(ada: Caller, path: str) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ada.user)
    address = f"/api/v1{path}"
    assert browser.post(address, content_type="application/json").status_code == 403
    browser.cookies["csrftoken"] = token = "c" * 32
    answer = browser.post(address, content_type="application/json", headers={"X-CSRFToken": token})
    assert seconds_left(answer) > 0


def test_a_ticket_is_worth_nothing_but_on_its_stream(ada: Caller, path: str) -> None:
    ticket = ada.post(path).json()["ticket"]
    stranger = Client()
    execution = path.removesuffix("/stream-tickets")
    for target in ("/executions/", execution, f"{execution}/events", f"{execution}/steps", "/documents/"):
        assert stranger.get(f"/api/v1{target}", {"ticket": ticket}).status_code == 401
        assert stranger.get(f"/api/v1{target}", headers={"Authorization": f"Bearer {ticket}"}).status_code == 401
    assert stranger.post(f"/api/v1{path}?ticket={ticket}").status_code == 401
    assert stranger.post(f"/api/v1{execution}/cancel?ticket={ticket}").status_code == 401


def test_a_ticket_ends_with_the_token_that_it_was_made_with(ada: Caller, path: str) -> None:
    ends = (timezone.now() + timedelta(seconds=20)).replace(microsecond=0)
    ada.user.auth_token_set.update(expiry=ends)  # type: ignore[attr-defined]
    assert datetime.fromisoformat(ada.post(path).json()["expires_at"]) == ends.astimezone(UTC)
