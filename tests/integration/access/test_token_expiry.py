"""Tokens, and the tickets made with them, become invalid with the password and with the account."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from access import selectors, services
from access.errors import BadCredentials, BadTicket
from access.models import Scope, ScopeRole, SessionName
from access.passwords import hashers
from access.permissions import Role
from access.selectors import Credential, Grant
from access.user import User
from tests.support.waiting import HANG_SECONDS

PASSWORD = "correct horse battery staple"
ANOTHER = "another Horse, with a battery"


@pytest.fixture
def carol(db: None) -> User:
    """A user with a password."""
    return User.objects.create_user("carol", password=PASSWORD)


@pytest.fixture
def by_admin(admin_client: Client) -> Callable[[User], None]:
    """Return what has staff set a password."""

    def change(user: User) -> None:
        path = reverse("admin:auth_user_password_change", args=[user.pk])
        form = {"password1": ANOTHER, "password2": ANOTHER, "usable_password": "true"}
        assert admin_client.post(path, form).status_code == 302

    return change


def by_code(user: User) -> None:
    user.set_password(ANOTHER)
    user.save()


def by_update(user: User) -> None:
    User.objects.filter(pk=user.pk).update(password="!")


def by_sql(user: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE access_user SET password = '!' WHERE id = %s", [user.pk])


def by_issue_token(user: User) -> None:
    services.ensure_user(name=user.username, password=ANOTHER)


def by_own_page(user: User) -> None:
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    form = {"old_password": PASSWORD, "new_password1": ANOTHER, "new_password2": ANOTHER}
    assert client.post("/admin/password_change/", form).status_code == 302


def by_deactivation(user: User) -> None:
    user.is_active = False
    user.save()


def by_deactivation_of_many(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def works(token: str) -> bool:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return bool(client.get("/api/v1/workflows/").status_code == 200)


def ticket_of(user: User, row: AuthToken | None, session: str | None = None) -> Any:
    text, _ = services.issue_ticket(
        user=user, token=row, session_key=session, opens="execution:x", seconds=60, now=timezone.now()
    )
    return text


@pytest.mark.parametrize(
    "change", [by_code, by_update, by_sql, by_issue_token, by_own_page, by_deactivation, by_deactivation_of_many]
)
def test_whatever_changes_a_password_or_ends_an_account_ends_its_tokens(
    carol: User, alice: User, change: Callable[[User], None]
) -> None:
    row, token = services.issue_token(carol)
    _, other = services.issue_token(alice)
    grant = Grant(credential=Credential(user_id=carol.pk, token=row.digest), root_id=_scope(carol).id)
    assert works(token)
    assert selectors.valid_grants([grant], now=timezone.now()) == {grant}
    change(carol)
    assert not works(token)
    assert selectors.valid_grants([grant], now=timezone.now()) == set(), "an open stream goes on"
    assert selectors.find_token(row.digest[:32], user_id=carol.pk, now=timezone.now()) is None
    assert works(other)
    User.objects.filter(pk=carol.pk).update(is_active=True)
    assert not works(token), "it comes back with the account"


def by_service(user: User) -> None:
    services.set_active([user.pk], is_active=False)


@pytest.mark.parametrize("deactivate", [by_deactivation, by_deactivation_of_many, by_service])
def test_a_session_does_not_come_back_with_the_account(
    carol: User, alice: User, deactivate: Callable[[User], None]
) -> None:
    browser, other = Client(), Client()
    browser.force_login(carol)
    other.force_login(alice)
    deactivate(carol)
    assert [each.user_id for each in SessionName.objects.all()] == [alice.pk]
    assert Session.objects.count() == 1
    services.set_active([carol.pk], is_active=True)
    assert browser.get("/executions/").status_code == 302
    assert other.get("/executions/").status_code == 200


def _scope(user: User) -> Scope:
    scope = Scope.objects.create(type="project", key="p")
    ScopeRole.objects.create(scope=scope, user=user, role=Role.VIEWER)
    return scope


def test_staff_who_set_a_password_end_the_tokens(carol: User, by_admin: Callable[[User], None]) -> None:
    _, token = services.issue_token(carol)
    by_admin(carol)
    assert not works(token)


def test_a_password_from_standard_input_ends_the_tokens_before(carol: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = services.issue_token(carol)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{ANOTHER}\n"))
    out = io.StringIO()
    call_command("issue_token", "carol", "--password-stdin", stdout=out)
    assert not works(token)
    assert works(out.getvalue().strip())


def test_a_ticket_made_with_a_token_or_a_session_falls_with_the_password(carol: User) -> None:
    browser = Client()
    browser.force_login(carol)
    row, _ = services.issue_token(carol)
    shown = [ticket_of(carol, row), ticket_of(carol, None, browser.session.session_key)]
    stream = f"/api/v1/executions/{uuid4()}/stream"
    by_code(carol)
    for text in shown:
        with pytest.raises(BadTicket):
            _identified(stream, text)
    assert browser.get("/executions/").status_code == 302


def _identified(path: str, text: str) -> object:
    from django.test import RequestFactory

    from access.authentication import identify
    from access.url_secrets import TicketText

    return identify(RequestFactory().get(path), ticket=TicketText(text), opens="execution:x", now=timezone.now())


def test_the_same_password_again_ends_nothing(carol: User) -> None:
    _, token = services.issue_token(carol)
    services.ensure_user(name="carol", password=PASSWORD)
    assert works(token)


@pytest.mark.parametrize("field", ["email", "last_login", "is_staff", "first_name"])
def test_other_changes_of_a_user_end_nothing(carol: User, field: str) -> None:
    _, token = services.issue_token(carol)
    values: dict[str, Any] = {
        "email": "c@example.org",
        "last_login": timezone.now(),
        "is_staff": True,
        "first_name": "C",
    }
    setattr(carol, field, values[field])
    carol.save()
    assert works(token)


def test_a_password_that_is_only_hashed_anew_ends_nothing(carol: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = services.issue_token(carol)
    before = carol.password
    monkeypatch.setattr(hashers.BoundedPBKDF2PasswordHasher, "iterations", 2)
    asked = APIClient().post("/api/v1/auth/token", {"username": "carol", "password": PASSWORD}, format="json")
    assert asked.status_code == 201
    carol.refresh_from_db()
    assert carol.password != before
    assert works(token)


def test_a_token_is_not_issued_for_a_password_that_was_changed_meanwhile(carol: User) -> None:
    stale = User.objects.get(pk=carol.pk)
    by_code(carol)
    with pytest.raises(BadCredentials):
        services.issue_token(stale)


@pytest.mark.django_db(transaction=True)
def test_a_token_that_is_issued_as_the_password_changes_ends_with_it() -> None:
    carol = User.objects.create_user("carol", password=PASSWORD)

    def change() -> None:
        User.objects.filter(pk=carol.pk).update(password="!")
        connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.issue_token(carol)
            changing = pool.submit(change)
            with pytest.raises(TimeoutError):
                changing.result(0.3)  # it waits for the token
        changing.result(HANG_SECONDS)
    assert not AuthToken.objects.exists()
