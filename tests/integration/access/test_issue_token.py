"""`manage.py issue_token`: the first command of an operator."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from access.user import User

pytestmark = pytest.mark.django_db


def issue(*arguments: str) -> str:
    """Run the command and return what it printed."""
    out = io.StringIO()
    call_command("issue_token", *arguments, stdout=out)
    return out.getvalue()


def status_with(token: str) -> int:
    return APIClient().get("/api/v1/workflows/", headers={"Authorization": f"Bearer {token}"}).status_code


def test_it_prints_a_token_and_nothing_else_and_makes_the_user() -> None:
    printed = issue("dora")
    assert printed == printed.strip() + "\n"
    assert " " not in printed.strip()
    assert status_with(printed.strip()) == 200
    dora = User.objects.get(username="dora")
    assert (dora.is_staff, dora.is_superuser, dora.has_usable_password()) == (False, False, False)


def test_a_second_token_of_a_user_leaves_the_first_and_the_user_alone(alice: User) -> None:
    alice.set_password("her own password")
    alice.save()
    first, second = issue("alice").strip(), issue("alice").strip()
    assert first != second
    assert (status_with(first), status_with(second)) == (200, 200)
    assert User.objects.get().check_password("her own password")


def test_a_superuser_may_use_the_admin_with_a_password_from_standard_input(monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough secret\n"))
    issue("root", "--superuser", "--password-stdin")
    root = User.objects.get(username="root")
    assert (root.is_staff, root.is_superuser) == (True, True)
    browser = Client()
    assert browser.login(username="root", password="a long enough secret")
    assert browser.get("/admin/access/scope/").status_code == 200


def test_an_ordinary_token_takes_no_rights_away() -> None:
    issue("root", "--superuser")
    issue("root")
    assert User.objects.get(username="root").is_superuser


def test_an_empty_password_is_refused_and_no_user_is_created(monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(CommandError, match="password"):
        issue("root", "--superuser", "--password-stdin")
    assert (User.objects.count(), AuthToken.objects.count()) == (0, 0)


@pytest.mark.parametrize("password", ["x", "12345678901", "password", "theodora", "short7!"])
def test_a_password_that_the_validators_refuse_is_refused_and_no_user_is_made(monkeypatch: Any, password: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    with pytest.raises(CommandError, match="password is invalid"):
        issue("theodora", "--password-stdin")
    assert (User.objects.count(), AuthToken.objects.count()) == (0, 0)


@pytest.mark.parametrize("name", ["", "two words", "x" * 151])
def test_an_impossible_user_name_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="name"):
        issue(name)
    assert (User.objects.count(), AuthToken.objects.count()) == (0, 0)
