"""Errors: one format, the right status, and no internal detail."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from access.user import User

pytestmark = pytest.mark.urls("tests.integration.web.urls")
Api = Callable[..., APIClient]
MEMBERS = {"type", "title", "status", "detail", "instance", "code", "errors", "error_count", "request_id"}


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Return the body of a problem after looking at what all problems have in common."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert set(body) >= MEMBERS
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith(code)
    assert body["request_id"] == response["X-Request-ID"]
    assert b"hunter2" not in response.content
    return body


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("not-found", 404, "not-found"),
        ("illegal", 409, "illegal-transition"),
        ("version-conflict", 409, "version-conflict"),
        ("superseded", 409, "superseded"),
        ("unavailable", 503, "unavailable"),
        ("invalid", 422, "invalid-answers"),
        ("precondition", 412, "version-conflict"),
        ("http404", 404, "not-found"),
        ("denied", 403, "permission-denied"),
        ("drf-denied", 403, "permission-denied"),
        ("database", 503, "unavailable"),
    ],
)
def test_every_foreseen_failure_has_its_status_and_code(api: Api, kind: str, status: int, code: str) -> None:
    body = problem(api().get(f"/api/v1/raise/{kind}"), status, code)
    assert body["instance"] == f"/api/v1/raise/{kind}"


def test_a_failure_of_the_engine_shows_its_words_and_its_context(api: Api) -> None:
    body = api().get("/api/v1/raise/illegal").json()
    assert body["detail"] == "step a is completed; it cannot become running."
    assert (body["current"], body["wanted"]) == ("completed", "running")


def test_each_invalid_answer_has_a_pointer(api: Api) -> None:
    body = api().get("/api/v1/raise/invalid").json()
    assert body["errors"] == [{"pointer": "/answers/q1", "code": "choice", "detail": "Not a valid choice."}]


def test_wrong_fields_are_422_and_each_has_its_pointer(api: Api) -> None:
    wrong = {"count": 0, "items": [{"name": "a"}, {}], "odd": {"a/b~c": "x"}}
    body = problem(api().post("/api/v1/check", wrong, format="json"), 422, "invalid")
    assert {(each["pointer"], each["code"]) for each in body["errors"]} == {
        ("/count", "min_value"),
        ("/items/1/name", "required"),
        ("/odd/a~1b~0c", "invalid"),
    }


def test_what_is_wrong_with_the_whole_points_at_the_whole(api: Api) -> None:
    body = problem(api().post("/api/v1/check", {"count": 2, "items": [{"name": "a"}]}, format="json"), 422, "invalid")
    assert body["errors"] == [{"pointer": "", "code": "differ", "detail": "count and items differ"}]


def test_a_body_that_is_no_object_points_at_the_whole(api: Api) -> None:
    body = problem(api().post("/api/v1/check", [1, 2], format="json"), 422, "invalid")
    assert [each["pointer"] for each in body["errors"]] == [""]


def test_malformed_json_is_400(api: Api) -> None:
    problem(api().post("/api/v1/check", b'{"count": ', content_type="application/json"), 400, "parse-error")


def test_a_body_of_another_type_is_415(api: Api) -> None:
    response = api().post("/api/v1/check", b"count=1", content_type="application/x-www-form-urlencoded")
    problem(response, 415, "unsupported-media-type")


def test_a_body_over_the_limit_is_413(api: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    problem(api().post("/api/v1/check", b'{"count": 12345}', content_type="application/json"), 413, "too-large")


def test_a_method_that_is_not_offered_is_405(api: Api) -> None:
    response = api().delete("/api/v1/check")
    problem(response, 405, "method-not-allowed")
    assert response["Allow"] == "POST, OPTIONS"


def test_a_type_that_cannot_be_answered_is_406(api: Api) -> None:
    problem(api().get("/api/v1/private", HTTP_ACCEPT="image/png"), 406, "not-acceptable")


def test_too_many_requests_are_429_and_say_when_to_come_again(api: Api) -> None:
    response = api().get("/api/v1/throttled")
    problem(response, 429, "throttled")
    assert response["Retry-After"] == "7"


def test_without_a_token_it_is_401_that_says_how(api: Api) -> None:
    response = api().get("/api/v1/private")
    problem(response, 401, "not-authenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_with_a_wrong_token_it_is_401_too(api: Api, db: None) -> None:
    response = api().get("/api/v1/private", HTTP_AUTHORIZATION="Bearer nonsense")
    problem(response, 401, "authentication-failed")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_path_of_the_api_that_does_not_exist_is_a_problem(api: Api) -> None:
    problem(api().get("/api/v1/nothing/here"), 404, "not-found")


@pytest.mark.parametrize("path", ["/api/v1/raise/bug", "/api/v1/bug"])
def test_a_bug_is_500_without_its_inside(api: Api, path: str) -> None:
    problem(api().get(path), 500, "internal")


def test_what_django_finds_suspicious_is_400(api: Api) -> None:
    problem(api().get("/api/v1/suspicious"), 400, "bad-request")


def test_an_unknown_host_is_400(api: Api) -> None:
    problem(api().get("/api/v1/private", HTTP_HOST="evil.example"), 400, "bad-request")


@pytest.mark.parametrize(("path", "status"), [("/page/none", 404), ("/page/bug", 500)])
def test_pages_fail_as_pages_do(path: str, status: int) -> None:
    response = Client(raise_request_exception=False).get(path)
    assert response.status_code == status
    assert response["Content-Type"].startswith("text/html")
    assert b"hunter2" not in response.content


def test_a_page_that_does_not_exist_leads_to_the_start_without_the_database() -> None:
    text = Client().get("/page/none").content.decode()
    assert "There is no page at this address." in text
    assert '<a href="/">Start page</a>' in text


def test_a_sane_request_id_is_kept(api: Api, alice: User) -> None:
    response = api(alice).get("/api/v1/private", HTTP_X_REQUEST_ID="from-the-proxy.1")
    assert response["X-Request-ID"] == "from-the-proxy.1"
    assert response.json() == {"name": "alice", "request_id": "from-the-proxy.1"}


@pytest.mark.parametrize("given", ["short", "x" * 65, "with space", "new\tline-here", "umläut-umläut"])
def test_any_other_request_id_is_replaced(api: Api, alice: User, given: str) -> None:
    response = api(alice).get("/api/v1/private", HTTP_X_REQUEST_ID=given)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", response["X-Request-ID"])
