"""Threads of requests: how often a request crosses to one, and what a view may wait for there."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from access.services import issue_token
from access.user import User
from common.api.views import complete, in_request_thread
from orchestrator.asgi import application
from tests.factories import reports

pytestmark = pytest.mark.django_db(transaction=True)


async def ask(path: str, *headers: tuple[bytes, bytes], body: bytes = b"") -> int:
    """Send a request to the application; return the status of the response."""
    sent: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "POST" if body else "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), *headers],
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await application(scope, receive, send)
    return int(sent[0]["status"])


def bearer(user: User) -> tuple[bytes, bytes]:
    return (b"authorization", f"Bearer {issue_token(user)[1]}".encode())


@pytest.fixture
def crossings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The functions that were given to threads."""
    found: list[object] = []
    submit = ThreadPoolExecutor.submit

    def counted(pool: ThreadPoolExecutor, function: Any, /, *arguments: Any, **options: Any) -> Any:
        found.append(function)
        return submit(pool, function, *arguments, **options)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", counted)
    return found


@pytest.mark.parametrize("path", ["{}", "{}/steps", "", "{}/events"])
def test_a_read_crosses_to_a_thread_once(alice: User, crossings: list[object], path: str) -> None:
    reports.publish()
    address, token = f"/api/v1/executions/{path.format(reports.start(alice).id)}", bearer(alice)
    assert asyncio.run(ask(address, token)) == 200
    crossings.clear()
    assert asyncio.run(ask(address, token)) == 200
    assert len(crossings) == 1


def test_a_start_crosses_to_a_thread_once(alice: User, crossings: list[object]) -> None:
    reports.publish()
    body = json.dumps({"workflow_id": "report", "scope_type": "project", "scope_id": "threads"}).encode()
    headers = bearer(alice), (b"content-type", b"application/json")
    assert asyncio.run(ask("/api/v1/executions/", *headers, body=body)) == 201
    crossings.clear()
    assert asyncio.run(ask("/api/v1/executions/", *headers, body=body)) == 201
    assert len(crossings) == 1


def test_a_session_that_is_stored_after_the_view_gives_its_connection_back(alice: User, settings: Any) -> None:
    client = Client()
    client.force_login(alice)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another-key-for-the-next-weeks"
    connection.close()
    cookie = (b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode())
    assert asyncio.run(ask("/api/v1/me", cookie)) == 200
    pool = connection.pool_of(background=False)  # type: ignore[attr-defined]
    found = pool.get_stats()
    assert found["pool_size"] == found["pool_available"]


def test_a_view_that_waits_for_something_else_fails_in_the_thread() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waits on the event loop"):
        complete(waits())


def test_outside_of_the_thread_of_a_request_a_function_gets_one() -> None:
    async def wait() -> int:
        return await in_request_thread(lambda: 3)()

    assert asyncio.run(wait()) == 3
