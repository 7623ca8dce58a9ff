"""A user's own account: profile, password and sessions."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client

from access.account import services
from access.models import SessionName, Token
from access.services import claim_root_scope
from access.user import User
from common.database.server import database_now
from common.errors import Conflict
from tests.factories.callers import Caller
from tests.integration.api.checks import pointers
from tests.support.two_connections import DEADLINE_SECONDS, blocked

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"
ANOTHER = "another Horse, with a battery"


@pytest.fixture
def with_password(ada: Caller) -> Caller:
    """Ada, who has a password, and a token that was made after it."""
    ada.user.set_password(PASSWORD)
    ada.user.save()
    token = Client().post("/api/v1/auth/token", {"username": "ada", "password": PASSWORD}, "application/json")
    return Caller(ada.user, token.json()["token"], ada.http)


def browser() -> Client:
    """Return a browser that has logged in as Ada."""
    client = Client()
    assert client.post("/login/", {"username": "ada", "password": PASSWORD}).status_code == 302
    return client


def sessions(client: Client) -> list[dict[str, Any]]:
    """Return the sessions that a browser lists."""
    found: list[dict[str, Any]] = client.get("/api/v1/me/sessions").json()["data"]
    return found


def test_a_token_that_may_not_read_sees_its_rights_and_no_roles(ada: Caller) -> None:
    claim_root_scope(user=ada.user, scope_type="project", scope_key="alpha")
    made = ada.post("/me/tokens", {"name": "Import", "rights": ["operate"]}).json()
    found = replace(ada, token=made["token"]).get("/me").json()
    assert (found["rights"], found["roles"], found["roles_complete"]) == (["operate"], [], False)
    assert ada.get("/me").json()["roles_complete"]


def test_a_token_makes_no_token_that_lasts_longer(ada: Caller) -> None:
    soon = database_now() + timedelta(minutes=5)
    Token.objects.filter(user=ada.user).update(expiry=soon)
    made = ada.post("/me/tokens", {"name": "Import"})
    assert Token.objects.get(id=made.json()["id"]).expiry == soon
    later = ada.post("/me/tokens", {"name": "Import", "expires_at": (soon + timedelta(minutes=1)).isoformat()})
    assert (later.status_code, pointers(later)) == (422, {"/expires_at"})
    assert ada.post("/me/tokens", {"name": "Import", "expires_at": soon.isoformat()}).status_code == 201


def test_a_profile_says_who_and_is_changed_in_parts(ada: Caller) -> None:
    first = ada.get("/me").json()
    assert (first["username"], first["name"], first["language"], first["time_zone"]) == ("ada", "", "en", "UTC")
    assert (first["roles"], first["roles_complete"], first["is_staff"]) == ([], True, False)
    assert (first["is_author"], first["rights"]) == (False, ["read", "answer", "operate", "manage"])
    for column in ("is_staff", "is_author"):
        User.objects.filter(pk=ada.user.pk).update(is_staff=False, is_author=False)
        User.objects.filter(pk=ada.user.pk).update(**{column: True})
        changed = ada.get("/me").json()
        assert (changed["is_author"], "author" in changed["rights"]) == (column == "is_author", True)
    User.objects.filter(pk=ada.user.pk).update(is_author=False)
    changed = ada.patch("/me", {"name": "Ada Obi", "time_zone": "Europe/Berlin"}).json()
    assert (changed["name"], changed["time_zone"], changed["language"]) == ("Ada Obi", "Europe/Berlin", "en")
    assert ada.patch("/me", {"name": "", "language": "pt-BR"}).json() == {**changed, "name": "", "language": "pt-BR"}
    for body, wrong in (
        ({"time_zone": "Mars/Olympus"}, {"/time_zone"}),
        ({"language": "no language", "time_zone": "Asia/Tokyo"}, {"/language"}),
        ({"username": "eve"}, {"/username"}),
        ({"is_staff": True}, {"/is_staff"}),
        ({"name": "a\u202eb"}, {"/name"}),
    ):
        response = ada.patch("/me", body)
        assert (response.status_code, pointers(response)) == (422, wrong)
    assert ada.get("/me").json()["time_zone"] == "Europe/Berlin"


def test_sessions_are_listed_and_ended_by_their_user_alone(with_password: Caller, eve: Caller) -> None:
    first, second = browser(), browser()
    assert [each["current"] for each in sessions(second)] == [True, False]  # newest first
    [other] = [each["id"] for each in sessions(second) if not each["current"]]
    assert eve.delete(f"/me/sessions/{other}").status_code == 404
    assert eve.get("/me/sessions").json()["data"] == []
    assert with_password.delete(f"/me/sessions/{other}").status_code == 204
    assert first.get("/api/v1/me").status_code == 401
    assert second.get("/api/v1/me").status_code == 200
    assert with_password.delete(f"/me/sessions/{other}").status_code == 404
    assert SessionName.objects.count() == Session.objects.count() == 1


def test_a_session_belongs_to_who_logs_in_with_it(with_password: Caller, alice: User) -> None:
    client = browser()
    client.force_login(alice)
    assert [each["current"] for each in sessions(client)] == [True]
    assert with_password.get("/me/sessions").json()["data"] == []
    client.logout()
    assert SessionName.objects.count() == 0


def test_a_new_password_ends_tokens_and_other_sessions(with_password: Caller) -> None:
    mine, other = browser(), browser()
    body = {"old_password": PASSWORD, "new_password": ANOTHER}
    mine.get("/login/")
    assert mine.post("/api/v1/me/password", body, "application/json").status_code == 204
    assert [each["current"] for each in sessions(mine)] == [True]
    assert other.get("/api/v1/me").status_code == 401
    assert with_password.get("/me").status_code == 401
    assert (Token.objects.count(), Session.objects.count()) == (0, 1)
    login = {"username": "ada", "password": ANOTHER}
    assert Client().post("/api/v1/auth/token", login, "application/json").status_code == 201


def test_a_password_is_changed_only_with_the_old_one_and_to_a_good_one(with_password: Caller, restrict: Any) -> None:
    restrict(password_tries=2)
    before = User.objects.get(pk=with_password.user.pk).password
    for old, new, wrong in (
        (PASSWORD, "123", {"/new_password"}),
        (PASSWORD, "", {"/new_password"}),
        ("wrong", ANOTHER, {"/old_password"}),
        ("wrong", ANOTHER, {"/old_password"}),
    ):
        response = with_password.post("/me/password", {"old_password": old, "new_password": new})
        assert (response.status_code, pointers(response)) == (422, wrong)
    limit = with_password.post("/me/password", {"old_password": PASSWORD, "new_password": ANOTHER})
    assert (limit.status_code, limit.json()["code"]) == (429, "too-many-tries")
    assert User.objects.get(pk=with_password.user.pk).password == before


@pytest.mark.django_db(transaction=True)
def test_the_first_of_two_new_passwords_counts(alice: User) -> None:
    stale = User.objects.get(pk=alice.pk)

    def change() -> None:
        services.change_password(user=stale, password="the second one", session_key=None)

    with ExitStack() as stack:
        with transaction.atomic():
            services.change_password(user=alice, password=ANOTHER, session_key=None)
            second = stack.enter_context(blocked(change))
        with pytest.raises(Conflict):
            second.result(DEADLINE_SECONDS)
    assert User.objects.get(pk=alice.pk).check_password(ANOTHER)
