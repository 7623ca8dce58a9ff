"""The server with a minimal application: `python -m tests.e2e.server.plain_server PORT`."""

from __future__ import annotations

from orchestrator.web.server import Server  # isort: skip  # before anything that touches Twisted's reactor

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

CHUNK = b"x" * 65_536
CHUNKS = 1_000
PARTS = 10_000


class Streams:
    """Nothing to end, nothing to close."""

    def end(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


sent = 0


async def application(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
    """`/flood` sends 64 MB in chunks, `/parts` 30 MB in small ones and large ones, `/slow` answers after a second.

    All else tells how many chunks were taken.
    """
    global sent
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/flood":
        for _ in range(CHUNKS):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            sent += 1
    elif scope["path"] == "/parts":
        for number in range(PARTS):
            padding = b"x" * (30_000 if number % 10 == 0 else 10)
            await send({"type": "http.response.body", "body": b"%d%b\n" % (number, padding), "more_body": True})
            sent += 1
    elif scope["path"] == "/slow":
        await send({"type": "http.response.body", "body": b"wait ", "more_body": True})
        await asyncio.sleep(1)
    await send({"type": "http.response.body", "body": str(sent).encode()})


async def worker(stop: asyncio.Event) -> None:
    """End a moment after it was told to."""
    await stop.wait()
    await asyncio.sleep(0.5)
    print("the worker has ended", flush=True)  # noqa: T201


async def broken_worker(_stop: asyncio.Event) -> None:
    """End by itself."""
    raise RuntimeError("broken on purpose")


if __name__ == "__main__":
    server = Server(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        streams=Streams(),  # type: ignore[arg-type]
        max_body_bytes=1_000_000,
        grace_seconds=10,
    )
    server.on_ready = lambda: print("ready", flush=True)  # noqa: T201
    server.run_worker = broken_worker if "broken" in sys.argv else worker
    server.run()
    sys.exit(1 if server.failed else 0)
