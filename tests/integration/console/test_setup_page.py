"""The first account of an empty installation, and the example that a person tries."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client, override_settings
from django.utils import timezone

from access.people import first_account
from access.services import BadPassword, ensure_user
from access.user import User
from executions.models import Execution
from tests.factories import reports
from tests.integration.console.test_edit_pages import fields

pytestmark = pytest.mark.django_db

PAGE = "/setup/"
PASSWORD = "a-long-Passphrase"
ACCOUNT = {"username": "first", "password": PASSWORD, "password_again": PASSWORD}


@pytest.fixture(autouse=True)
def _no_secret_remains() -> Iterator[None]:
    yield
    first_account.new_secret()


def opened() -> Client:
    """Return the browser of a person who has followed the link that the server has printed."""
    browser = Client()
    answer = browser.get(PAGE, {"key": first_account.new_secret()})
    assert (answer.status_code, answer["Location"], answer["Referrer-Policy"]) == (302, PAGE, "no-referrer")
    return browser


def test_the_link_leads_to_an_account_that_administers_and_is_logged_in() -> None:
    browser = opened()
    assert "The first one administers it." in browser.get(PAGE).content.decode()
    answer = browser.post(PAGE, ACCOUNT)
    assert (answer.status_code, answer["Location"]) == (302, "/example/")
    user = User.objects.get()
    assert (user.username, user.is_staff, user.is_superuser, user.check_password(PASSWORD)) == ("first", *[True] * 3)
    assert browser.get("/example/").status_code == 200


@pytest.mark.parametrize("key", ["", "guessed", "\udc80"], ids=["none", "guessed", "no text"])
def test_nothing_but_the_link_leads_there(key: str) -> None:
    first_account.new_secret()
    browser = Client()
    assert browser.get(PAGE, {"key": key.encode("utf-8", "surrogateescape")}).status_code == 403
    assert browser.post(PAGE, ACCOUNT).status_code == 403
    assert not User.objects.exists()


def test_a_new_start_of_the_server_ends_the_earlier_link() -> None:
    browser = opened()
    first_account.new_secret()
    assert browser.post(PAGE, ACCOUNT).status_code == 403
    assert not User.objects.exists()


def test_once_there_is_a_user_the_page_leads_away() -> None:
    browser = opened()
    ensure_user(name="ada")
    for answer in (browser.get(PAGE), browser.post(PAGE, ACCOUNT), browser.get(PAGE, {"key": "any"})):
        assert (answer.status_code, answer["Location"]) == (302, "/executions/")
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"password_again": "another-Passphrase"}, "The two passwords differ."),
        ({"password": "short", "password_again": "short"}, "This password is too short"),
        ({"username": "a b/c"}, "Enter a valid username"),
    ],
)
def test_a_refused_account_keeps_the_name_and_says_why(change: dict[str, str], told: str) -> None:
    browser = opened()
    answer = browser.post(PAGE, ACCOUNT | change)
    assert answer.status_code == 422
    assert told in answer.content.decode()
    assert f'value="{(ACCOUNT | change)["username"]}"' in answer.content.decode()
    assert not User.objects.exists()


def test_no_other_code_makes_an_account_with_a_weak_password() -> None:
    with pytest.raises(BadPassword):
        first_account.create(name="first", password="short", network="n", now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_gets_the_account() -> None:
    def make(name: str) -> bool:
        try:
            first_account.create(name=name, password=PASSWORD, network=name, now=timezone.now())
        except first_account.SetUpAlready:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(make, ["one", "two"]))
    assert sorted(made) == [False, True]
    assert User.objects.count() == 1


def example_form(browser: Client) -> dict[str, Any]:
    return fields(browser.get("/example/"), "/example/")


@pytest.fixture
def tester(client: Client) -> Client:
    call_command("load_catalog", verbosity=0)
    client.force_login(ensure_user(name="ada"))
    return client


def test_the_example_starts_once_however_often_the_form_is_sent(tester: Client) -> None:
    form = example_form(tester)
    answers = {tester.post("/example/", form)["Location"] for _ in range(2)}
    row = Execution.objects.get()
    assert answers == {f"/executions/{row.id}/"}
    assert (row.workflow_id, row.scope.type, row.scope.key) == ("strategy-document", "example", "tool-library")
    assert row.script is None


def test_a_second_person_gets_a_scope_of_their_own(tester: Client) -> None:
    tester.post("/example/", example_form(tester))
    bob = ensure_user(name="bob")
    other = Client()
    other.force_login(bob)
    other.post("/example/", example_form(other))
    assert set(Execution.objects.values_list("scope__key", flat=True)) == {"tool-library", f"tool-library-{bob.pk}"}


@override_settings(MODEL_ALIASES={"fast": "anthropic:claude-haiku-5-5", "standard": "rehearsal:rehearsal"})
def test_with_a_key_the_example_is_a_dry_run_that_costs_nothing(tester: Client) -> None:
    tester.post("/example/", example_form(tester))
    assert Execution.objects.get().script is not None


def test_without_its_workflow_the_example_says_why_it_does_not_start(client: Client) -> None:
    reports.publish()
    client.force_login(ensure_user(name="ada"))
    answer = client.post("/example/", example_form(client))
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
