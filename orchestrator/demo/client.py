"""API client of the demo: start, follow, answer, read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import connect_sse

from executions.engine.domain.events import EventType
from orchestrator.demo.server import DemoError

_KNOWN_EVENTS = frozenset(EventType)
_RECONNECT_SECONDS = 0.5
_TRIES = 20  # consecutive failures without an event


class ApiClient:
    """A client of one server, with one token."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        # An idle stream sends a comment every 15 s; a longer silence means a lost connection.
        self._http = httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=45.0)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON of a path.

        Raises:
            DemoError: the server responded with an error.
        """
        return self._parse(self._http.get(path, params=query))

    def all(self, path: str, **query: str) -> list[Any]:
        """Return all rows of a paged list."""
        rows: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, **query, **cursor)
            rows += page["data"]
            if page["next_cursor"] is None:
                return rows
            cursor = {"cursor": page["next_cursor"]}

    def post(self, path: str, body: object) -> Any:
        """Post JSON, and return the JSON of the response.

        Raises:
            DemoError: the server responded with an error.
        """
        return self._parse(self._http.post(path, json=body))

    def upload(self, path: Path) -> str:
        """Upload a file, and return its id.

        Raises:
            DemoError: the file cannot be read, or the server responded with an error.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DemoError(f"The file {path} cannot be read: {error.strerror}") from error
        return str(self._parse(self._http.post("/files", files={"file": (path.name, data)}))["id"])

    def _parse(self, response: httpx.Response) -> Any:
        if response.is_success:
            return response.json()
        problem = response.json()
        errors = "".join(f"\n  {error['pointer']}: {error['detail']}" for error in problem.get("errors", ()))
        if (more := problem.get("error_count", 0) - len(problem.get("errors", ()))) > 0:
            errors += f"\n  {more} more errors."
        raise DemoError(f"{problem['title']}: {problem['detail']}{errors}")

    def follow(self, execution_id: str) -> Iterator[dict[str, Any]]:
        """Yield each event of an execution once, until the execution has ended; reconnect after lost connections.

        Raises:
            DemoError: the stream is unreachable after `_TRIES`.
        """
        last, failures = 0, 0
        while failures < _TRIES:
            try:
                headers = {"Last-Event-ID": str(last)} if last else {}
                with connect_sse(self._http, "GET", f"/executions/{execution_id}/stream", headers=headers) as source:
                    if source.response.status_code == httpx.codes.NO_CONTENT:
                        return
                    for event in source.iter_sse():
                        if event.event not in _KNOWN_EVENTS:
                            continue  # live text, or an event type of a newer server
                        last, failures = int(event.id), 0
                        yield event.json()
                        if event.event == "complete":
                            return
            except httpx.TransportError:
                failures += 1
            time.sleep(_RECONNECT_SECONDS)
        raise DemoError("The stream is not reachable any more.")
