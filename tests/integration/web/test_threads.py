"""Threads of requests: how often a request crosses to one, and what a view may wait for there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from access.services import issue_token
from access.user import User
from common.api.views import complete, in_request_thread
from common.database.parameters import connection_parameters
from orchestrator.asgi import application
from tests.factories import reports
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

#: Whether a request waits for a lock of this connection.
_WAITING = "SELECT exists(SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"


async def ask(path: str, *headers: tuple[bytes, bytes], body: bytes = b"", leaves: asyncio.Event | None = None) -> int:
    """Send a request to the application; return the status of the response, 0 if the client leaves before."""
    sent: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await (leaves or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

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
    return int(sent[0]["status"]) if sent else 0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def in_use() -> int:
    """The connections of the pool that requests have."""
    found = connection.pool_of(background=False).get_stats()  # type: ignore[attr-defined]
    return int(found["pool_size"] - found["pool_available"])


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
    assert in_use() == 0


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/executions/{}/calls", None, 200),
        ("/api/v1/executions/{}/steps/research/prompt", None, 404),
        ("/api/v1/executions/00000000-0000-7000-8000-000000000000", None, 404),
        ("/api/v1/auth/token", {"username": "alice", "password": "wrong"}, 401),
        ("/api/v1/me/password", {"old_password": "wrong", "new_password": "a-new-Passphrase"}, 422),
        ("/api/v1/workflows/report/estimate", {}, 200),
        ("/api/v1/executions/", {"workflow_id": 3}, 422),
        ("/api/v1/openapi.json", None, 200),
        ("/api/v1/nothing", None, 404),
        ("/readyz", None, 503),
        ("/healthz", None, 200),
        ("/executions/", None, 302),
        ("/login/", None, 200),
        ("/admin/login/", None, 200),
        ("/static/console/console.css", None, 200),
    ],
)
def test_an_answer_leaves_no_connection_behind(alice: User, path: str, body: object, status: int) -> None:
    reports.publish()
    headers = bearer(alice), (b"content-type", b"application/json")
    sent, path = b"" if body is None else json.dumps(body).encode(), path.format(reports.start(alice).id)
    connection.close()
    assert asyncio.run(ask(path, *headers, body=sent)) == status
    assert in_use() == 0


@pytest.mark.parametrize("path", ["/documents/", "/api/v1/documents/", "/readyz"])
def test_a_request_that_is_cancelled_while_its_thread_waits_gives_its_connection_back(alice: User, path: str) -> None:
    client = Client()
    client.force_login(alice)
    cookie = (b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode())
    connection.close()
    leaves = asyncio.Event()

    async def run(other: psycopg.Connection[Any]) -> None:
        request = asyncio.create_task(ask(path, cookie, leaves=leaves))
        await until(lambda: other.execute(_WAITING).fetchone() == (True,))
        leaves.set()
        for _ in range(3):  # as a server does with a client that is gone
            await asyncio.sleep(0)
            request.cancel()
        await asyncio.wait({request})
        other.rollback()
        await until(lambda: in_use() == 0)

    with psycopg.connect(**connection_parameters()) as other:
        other.execute("LOCK TABLE access_user, executions_workerheartbeat IN ACCESS EXCLUSIVE MODE")
        asyncio.run(run(other))


def test_a_view_that_waits_for_something_else_fails_in_the_thread() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waits on the event loop"):
        complete(waits())


def test_outside_of_the_thread_of_a_request_a_function_gets_one() -> None:
    async def wait() -> int:
        return await in_request_thread(lambda: 3)()

    assert asyncio.run(wait()) == 3
