"""Tokens: issued for name and password, shown once, sent in a header, revoked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from access.services import issue_token, remove_expired_tokens
from access.user import User
from common.database.server import database_now, server

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"
Api = Callable[..., APIClient]


@pytest.fixture
def carol(db: None) -> User:
    """A user with a password."""
    return User.objects.create_user("carol", password=PASSWORD)


def ask(client: APIClient, slash: str = "", **body: Any) -> Any:
    return client.post(f"/api/v1/auth/token{slash}", body, format="json")


def read(authorization: str) -> Any:
    return APIClient(raise_request_exception=False).get("/api/v1/workflows/", headers={"Authorization": authorization})


@pytest.mark.parametrize("slash", ["", "/"])
def test_name_and_password_give_a_token_that_is_shown_once_and_stored_hashed(api: Api, carol: User, slash: str) -> None:
    response = ask(api(), slash, username="carol", password=PASSWORD)
    assert response.status_code == 201, response.content
    token, expires_at = response.json()["token"], response.json()["expires_at"]
    assert datetime.fromisoformat(expires_at) > timezone.now() + timedelta(days=1)
    assert expires_at.endswith("Z")
    row = AuthToken.objects.get()
    assert row.user == carol
    assert all(token not in str(value) for value in vars(row).values())
    assert read(f"Bearer {token}").status_code == 200


def test_a_token_lives_as_long_by_the_databases_clock_wherever_it_is_made(
    carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifetimes = []
    for ahead in (0, 10 * 24 * 3600, -10 * 24 * 3600):
        monkeypatch.setattr(server, "now", lambda ahead=ahead: timezone.now() + timedelta(seconds=ahead))
        row, _ = issue_token(carol)
        assert row.expiry is not None
        lifetimes.append(round((row.expiry - database_now()).total_seconds() / 60))
    assert len(set(lifetimes)) == 1


@pytest.mark.parametrize(
    ("username", "password"), [("carol", "wrong"), ("nobody", PASSWORD), ("idle", PASSWORD), ("alice", "anything")]
)
def test_what_does_not_fit_together_gets_no_token_and_no_hint(
    api: Api, carol: User, alice: User, username: str, password: str
) -> None:
    User.objects.create_user("idle", password=PASSWORD, is_active=False)
    response = ask(api(), username=username, password=password)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert (response.json()["code"], response.json()["detail"]) == (
        "bad-credentials",
        "No active user has this name and password.",
    )
    assert AuthToken.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/username", "/password"}),
        ({"username": "carol"}, {"/password"}),
        ({"username": "carol", "password": ""}, {"/password"}),
        ({"username": "carol", "password": PASSWORD, "pasword": "x"}, {"/pasword"}),
        ({"username": ["carol"], "password": PASSWORD}, {"/username"}),
    ],
)
def test_a_request_for_a_token_names_what_is_wrong_with_it(
    api: Api, carol: User, body: dict[str, Any], pointers: set[str]
) -> None:
    response = ask(api(), **body)
    assert response.status_code == 422
    assert {error["pointer"] for error in response.json()["errors"]} == pointers
    assert AuthToken.objects.count() == 0


def test_a_stale_token_in_the_header_does_not_stand_in_the_way_of_a_new_one(carol: User) -> None:
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION="Bearer stale")
    assert ask(client, username="carol", password=PASSWORD).status_code == 201


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_token_that_is_given_back_is_the_one_that_was_used(alice: User, slash: str) -> None:
    kept, given = issue_token(alice)[1], issue_token(alice)[1]
    client = APIClient(raise_request_exception=False)
    response = client.delete(f"/api/v1/auth/token{slash}", headers={"Authorization": f"Token {given}"})
    assert (response.status_code, response.content) == (204, b"")
    assert read(f"Bearer {given}").status_code == 401
    assert read(f"Bearer {kept}").status_code == 200


def test_a_browser_session_has_no_token_to_give_back(alice: User) -> None:
    issue_token(alice)
    client = APIClient()
    client.force_login(alice)
    assert client.delete("/api/v1/auth/token").status_code == 403
    assert AuthToken.objects.count() == 1


def test_who_carries_nothing_gives_nothing_back(api: Api) -> None:
    assert api().delete("/api/v1/auth/token").status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "TOKEN"])
def test_a_token_is_taken_after_both_words(alice: User, scheme: str) -> None:
    assert read(f"{scheme} {issue_token(alice)[1]}").status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Token", "Bearer a b", "Bearer wrong", "Basic YTpi", "Bearer \xff", "Bearer \x80\x81"],
)
def test_any_other_header_is_asked_for_a_token(db: None, authorization: str) -> None:
    response = read(authorization)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] in {"Bearer", "Token"}
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_token_with_a_true_beginning_and_a_false_end_is_no_token(alice: User) -> None:
    token = issue_token(alice)[1]
    for end in ("0", "zz", "é"):
        assert read("Bearer " + (token[:20] + end).encode().decode("latin-1")).status_code == 401


def test_an_expired_token_is_no_token(alice: User) -> None:
    row, token = issue_token(alice)
    AuthToken.objects.filter(pk=row.digest).update(expiry=timezone.now() - timedelta(seconds=1))
    assert read(f"Bearer {token}").status_code == 401


def test_the_token_of_a_user_who_was_deactivated_is_no_token(alice: User) -> None:
    token = issue_token(alice)[1]
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert read(f"Bearer {token}").status_code == 401


def test_workers_remove_tokens_that_have_expired_and_no_others(carol: User) -> None:
    now = timezone.now()
    rows = [issue_token(carol)[0] for _ in range(3)]
    for row, expiry in zip(rows, (now - timedelta(seconds=1), now + timedelta(seconds=1), None), strict=True):
        AuthToken.objects.filter(pk=row.digest).update(expiry=expiry)
    remove_expired_tokens(now=now)
    assert set(AuthToken.objects.values_list("pk", flat=True)) == {row.digest for row in rows[1:]}
