"""Console pages need a login, and escape all text."""

from __future__ import annotations

import pytest
from django.test import Client

from access.services import ensure_user
from access.user import User

EXECUTION = "/executions/01a20782-9bcf-73d6-9b68-153f51574a9d/"


@pytest.fixture
def ada(db: None) -> User:
    return ensure_user(name="ada", password="a-long-Passphrase")


@pytest.mark.parametrize("path", ["/executions/", "/inbox/", EXECUTION])
def test_a_page_asks_strangers_to_log_in(db: None, path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"] == f"/login/?next={path}"


def test_the_front_door_asks_strangers_to_log_in(db: None) -> None:
    assert Client().get("/")["Location"] == "/login/?next=/"


def test_people_log_in_with_name_and_password_and_come_where_they_wanted(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    page = client.get(f"/login/?next={EXECUTION}")
    token = page.cookies["csrftoken"].value
    form = {"username": "ada", "password": "a-long-Passphrase", "next": EXECUTION, "csrfmiddlewaretoken": token}
    assert client.post("/login/", form)["Location"] == EXECUTION
    assert client.get(EXECUTION).status_code == 404  # there is no such execution


def test_a_form_without_its_token_is_refused(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/login/", {"username": "ada", "password": "a-long-Passphrase"}).status_code == 403


def test_a_session_writes_over_the_api_only_with_its_token(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    refused = client.post("/api/v1/executions/", {}, content_type="application/json")
    assert refused.status_code == 403
    token = client.get("/executions/").cookies["csrftoken"].value
    accepted = client.post("/api/v1/executions/", {}, content_type="application/json", headers={"X-CSRFToken": token})
    assert accepted.status_code == 422  # understood, and told what is missing


def test_a_name_is_shown_as_it_is_and_never_as_markup(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create(username="<b>ada</b>"))
    page = client.get("/executions/").content.decode()
    assert "&lt;b&gt;ada&lt;/b&gt;" in page
    assert "<b>ada</b>" not in page


def test_pages_bring_all_that_they_need(ada: User) -> None:
    client = Client()
    client.force_login(ada)
    for path in ("/executions/", "/inbox/", EXECUTION):
        page = client.get(path).content.decode()
        assert "//" not in page.replace("<!doctype html>", "").replace("http://www.w3.org", "")
        assert "<script>" not in page  # nothing inline
