"""Response headers for browsers and caches: policies, HTTPS, and caching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.testing import ApplicationCommunicator
from django.test import Client
from rest_framework.test import APIClient

from access import url_secrets
from access.user import User
from orchestrator.web.middleware import SecuredStreams, policy_of

API = "default-src 'none'; frame-ancestors 'none'"
Api = Callable[..., APIClient]


def directives(policy: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for words in (part.split() for part in policy.split(";"))}


@pytest.mark.parametrize(
    "path", ["/login/", "/executions/", "/inbox/", "/", "/nothing/here", "/admin/", "/admin/login/", "/api/v1/docs"]
)
def test_every_page_has_a_policy_that_lets_in_nothing_from_elsewhere(admin_client: Client, path: str) -> None:
    policy = directives(admin_client.get(path)["Content-Security-Policy"])
    assert policy["default-src"] == ["'self'"]
    assert policy["frame-ancestors"] == policy["object-src"] == ["'none'"]
    assert policy["base-uri"] == policy["form-action"] == ["'self'"]
    words = {word for values in policy.values() for word in values}
    assert words <= {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:"}
    if not path.startswith(("/admin/", "/api/")):
        assert "'unsafe-inline'" not in words
    if not path.startswith("/admin/"):
        assert "script-src" not in policy


@pytest.mark.parametrize("path", ["executions/", "workflows/", "openapi.json", "executions/none", "auth/token"])
def test_answers_of_the_api_are_no_pages(api: Api, alice: User, path: str) -> None:
    assert api(alice).get(f"/api/v1/{path}")["Content-Security-Policy"] == API


@pytest.mark.parametrize("path", ["/api/v1/executions/", "/api/v1/telemetry/summary", "/inbox/", "/admin/access/user/"])
def test_no_cache_keeps_what_belongs_to_a_user(admin_client: Client, path: str) -> None:
    assert "no-store" in admin_client.get(path)["Cache-Control"]


@pytest.mark.django_db
def test_no_cache_keeps_a_token() -> None:
    User.objects.create_user("carol", password="correct horse")
    for password, status in (("correct horse", 201), ("wrong", 401)):
        given = {"username": "carol", "password": password}
        response = APIClient().post("/api/v1/auth/token", given, format="json")
        assert (response.status_code, response["Cache-Control"]) == (status, "no-store")


def test_files_may_be_kept(client: Client) -> None:
    assert "no-store" not in client.get("/static/console/console.css")["Cache-Control"]


# --- streams ----------------------------------------------------------------------------------------------------------

EXECUTION = "/api/v1/executions/01a20782-9bcf-73d6-9b68-153f51574a9d/stream"


async def asked(path: str, query: bytes = b"", *, host: bytes = b"testserver", proto: bytes = b"http") -> Any:
    """Return status and headers of a stream's answer, or None for a status when the stream was reached."""

    async def stream(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b""})

    headers = [(b"host", host), (b"x-forwarded-proto", proto)]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": headers}
    url_secrets.extract_ticket(scope)
    assert b"secret" not in scope["query_string"]
    communicator = ApplicationCommunicator(SecuredStreams(stream), scope)
    await communicator.send_input({"type": "http.request"})
    start = await communicator.receive_output(5)
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}


@pytest.fixture
def behind_proxy(settings: Any) -> None:
    """Settings of a server behind a proxy that speaks HTTPS."""
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 31_536_000


@pytest.mark.usefixtures("behind_proxy")
@pytest.mark.parametrize("path", [EXECUTION, f"{EXECUTION}/", "/api/v1/scopes/project/a%20b/stream"])
@pytest.mark.parametrize("query", [b"", b"types=complete&last_event_id=3", b"last_event_id=3&ticket=a%3Asecret"])
async def test_plain_http_is_led_to_https(path: str, query: bytes) -> None:
    status, headers = await asked(path, query)
    assert status == 301
    tail = f"?{query.decode()}" if query else ""
    assert headers["location"] == f"https://testserver{quote(path)}{tail}"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


@pytest.mark.usefixtures("behind_proxy")
@pytest.mark.parametrize("path", [EXECUTION, "/api/v1/scopes/project/a/stream"])
async def test_streams_over_https_carry_what_other_answers_carry(path: str, api: Api, settings: Any) -> None:
    status, headers = await asked(path, proto=b"https")
    assert status == 200
    assert headers["strict-transport-security"].startswith("max-age=31536000")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == API
    assert headers["content-type"] == "text/event-stream"


@pytest.mark.usefixtures("behind_proxy")
async def test_a_host_that_is_not_served_is_led_nowhere() -> None:
    status, headers = await asked(EXECUTION, host=b"evil.example")
    assert status == 200  # the stream is asked, and refuses it
    assert "location" not in headers


@pytest.mark.parametrize("query", [b"last_event_id=\xff", b"\xff=1", b"types=\xc3"])
async def test_a_query_with_bytes_that_are_no_text_reaches_the_stream(query: bytes) -> None:
    assert (await asked(EXECUTION, query))[0] == 200


async def test_without_https_nothing_is_redirected() -> None:
    status, headers = await asked(EXECUTION)
    assert (status, headers["x-content-type-options"]) == (200, "nosniff")
    assert "strict-transport-security" not in headers


def test_every_path_has_a_policy() -> None:
    assert policy_of("") == policy_of("/anything")


@pytest.mark.parametrize("autorefresh", [False, True])  # True: with DEBUG, which looks for each file again
def test_static_files_are_served_in_both_ways(settings: Any, autorefresh: bool) -> None:
    settings.WHITENOISE_AUTOREFRESH = autorefresh
    client = Client()
    assert client.get("/static/console/console.css").status_code == 200
    assert client.get("/static/console/nothing.css").status_code == 404
