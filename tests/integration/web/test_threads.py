"""Threads of requests: how often a request crosses to one, and what a view may wait for there."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from access.services import issue_token
from access.user import User
from common.api.views import complete, in_request_thread
from orchestrator.asgi import application
from tests.factories import reports

pytestmark = pytest.mark.django_db(transaction=True)


async def answer(path: str, *, token: str, body: Any = None, headers: tuple[tuple[bytes, bytes], ...] = ()) -> int:
    """Send a request to the application; return the status of the response."""
    sent: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    given = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode()), *headers]
    given += [] if body is None else [(b"content-type", b"application/json")]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET" if body is None else "POST",
        "path": path,
        "raw_path": path.encode(),
    }
    scope |= {
        "query_string": b"",
        "headers": given,
        "http_version": "1.1",
        "scheme": "http",
        "asgi": {"version": "3.0"},
    }
    await application(scope | {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}, receive, send)
    return int(sent[0]["status"])


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
    execution_id = reports.start(alice).id
    _, token = issue_token(alice)
    address = f"/api/v1/executions/{path.format(execution_id)}"
    assert asyncio.run(answer(address, token=token)) == 200
    crossings.clear()
    assert asyncio.run(answer(address, token=token)) == 200
    assert len(crossings) == 1


def test_a_start_crosses_to_a_thread_once(alice: User, crossings: list[object]) -> None:
    reports.publish()
    _, token = issue_token(alice)
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": "threads"}
    assert asyncio.run(answer("/api/v1/executions/", token=token, body=body)) == 201
    crossings.clear()
    assert asyncio.run(answer("/api/v1/executions/", token=token, body=body)) == 201
    assert len(crossings) == 1


def test_a_view_that_waits_for_something_else_fails_in_the_thread() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waits on the event loop"):
        complete(waits())


def test_outside_of_the_thread_of_a_request_a_function_gets_one() -> None:
    async def wait() -> int:
        return await in_request_thread(lambda: 3)()

    assert asyncio.run(wait()) == 3
