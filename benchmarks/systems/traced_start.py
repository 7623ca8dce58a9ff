"""Traces one start in one process, on the database that its environment names: python -m … [--worker]."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from types import FrameType
from typing import Any

from orchestrator.asgi import application, streams  # isort: skip  # it sets Django up

from django.contrib.auth import get_user_model

from access import services as access
from executions.progress.sse import KEEPALIVE
from executions.worker.worker import Worker
from orchestrator.web import lifecycle

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("orchestrator", "console", "executions", "workflows", "documents", "telemetry", "access", "common")
BRIEF = "# Ferry\n\nThe town runs one ferry. It wants to buy a second one, and extend the hours."
WORKFLOW = "meeting-minutes"
SECONDS = 60.0  # that an answer may take


class Trace:
    """The functions of the product that were called in any thread while it recorded."""

    def __init__(self) -> None:
        self.functions: dict[str, set[str]] = defaultdict(set)  # by file
        self._is_recording = False

    def install(self) -> None:
        """Have each function call of this thread, and of all threads that begin later, looked at."""
        threading.setprofile(self._look)
        sys.setprofile(self._look)

    def begin(self) -> None:
        """Record from now on."""
        self._is_recording = True

    def end(self) -> None:
        """Record no longer."""
        self._is_recording = False

    def _look(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        # The body of a module or class is code, and no function.
        if not self._is_recording or event != "call" or not code.co_flags & inspect.CO_OPTIMIZED:
            return
        path = Path(code.co_filename)
        if path.is_relative_to(ROOT) and (name := path.relative_to(ROOT)).parts[0] in ROOMS:
            self.functions[name.as_posix()].add(code.co_qualname)


class Client:
    """Asks the ASGI application, as a server would."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON of an answer.

        Raises:
            AssertionError: it is an error.
        """
        messages = [message async for message in self._messages("POST", path, json.dumps(body).encode())]
        text = b"".join(message.get("body", b"") for message in messages)
        assert messages[0]["status"] < 300, text.decode()
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def stream_until(self, path: str, wanted: bytes, then: Callable[[], None]) -> None:
        """Open a stream, call `then` once these bytes have come (empty: any), and leave it."""
        text = b""
        async with aclosing(self._messages("GET", path, b"")) as messages:
            async for message in messages:
                text += message.get("body", b"")
                if text and wanted in text:
                    then()
                    return
        raise AssertionError(f"the stream ended without {wanted!r}: {text!r}")

    async def _messages(self, method: str, path: str, body: bytes) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what the application sends; then the client is gone."""
        headers = {"host": "127.0.0.1", "authorization": f"Bearer {self._token}", "content-type": "application/json"}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        incoming.put_nowait({"type": "http.request", "body": body, "more_body": False})
        answering = asyncio.create_task(application(scope, incoming.get, outgoing.put))
        try:
            is_open = True
            while is_open:
                message = await asyncio.wait_for(outgoing.get(), SECONDS)
                is_open = message.get("more_body", message["type"] == "http.response.start")
                yield message
        finally:
            incoming.put_nowait({"type": "http.disconnect"})
            await answering


async def start(client: Client, scope: str, *, until: bytes, then: Callable[[], None] = lambda: None) -> None:
    """Start an execution and follow its stream until these bytes have come; call `then` at that moment."""
    body = {"workflow_id": WORKFLOW, "scope_type": "project", "scope_id": scope, "input": BRIEF}
    accepted = await client.post("/api/v1/executions/", body)
    await client.stream_until(f"/api/v1/executions/{accepted['execution_id']}/stream", until, then)


async def traced(trace: Trace, token: str, *, with_worker: bool) -> None:
    """Start one execution for the caches and one for the trace."""
    client = Client(token)
    stop, until = asyncio.Event(), b"event: complete" if with_worker else b""
    worker = asyncio.create_task(Worker(lifecycle.worker_name()).run(stop)) if with_worker else None
    await start(client, "warm", until=until or KEEPALIVE)  # by then the process listens for notifications
    trace.begin()
    await start(client, "traced", until=until, then=trace.end)
    stop.set()
    if worker is not None:
        await worker


def main(*, with_worker: bool) -> None:
    """Trace a start, and print the functions of each file as JSON."""
    trace = Trace()
    trace.install()
    user = get_user_model().objects.create_user("trace")
    _, token = access.issue_token(user)

    async def run() -> None:
        await traced(trace, token, with_worker=with_worker)
        await streams.close()

    asyncio.run(run())
    found = {name: sorted(functions) for name, functions in sorted(trace.functions.items())}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(with_worker="--worker" in sys.argv)
