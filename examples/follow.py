"""Follow an execution, or a whole scope, from Python: python examples/follow.py URL PATH TOKEN.

python examples/follow.py http://127.0.0.1:8000 /executions/0193…/stream $TOKEN
python examples/follow.py http://127.0.0.1:8000 /scopes/project/tool-library/stream $TOKEN
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
from httpx_sse import connect_sse

MAX_RETRY_SECONDS = 30.0  # between attempts
SILENCE_SECONDS = 45.0  # the server sends a comment every 15 s


def follow(url: str, path: str, token: str) -> Iterator[dict[str, Any]]:
    """Yield each event once, and reconnect after lost connections. The stream of an execution ends with it.

    Raises:
        httpx.HTTPStatusError: access was denied (401, 403, 404), or the position is invalid (400).
    """
    last, tries = "", 0
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=SILENCE_SECONDS) as client:
        while True:
            try:
                with connect_sse(client, "GET", path, headers={"Last-Event-ID": last} if last else {}) as source:
                    if source.response.status_code == httpx.codes.NO_CONTENT:
                        return
                    if source.response.status_code in {429, 502, 503, 504}:
                        raise httpx.TransportError("temporarily unavailable")
                    source.response.raise_for_status()
                    for message in source.iter_sse():
                        last, tries = message.id, 0
                        if message.data:
                            yield message.json()
            except httpx.TransportError:
                tries += 1
            time.sleep(random.uniform(0, min(MAX_RETRY_SECONDS, 0.5 * 2**tries)))  # noqa: S311 - jitter


if __name__ == "__main__":
    for event in follow(*sys.argv[1:4]):
        print(event.get("sequence", ""), event["event_type"], event.get("step_id") or "", event["data"])  # noqa: T201
