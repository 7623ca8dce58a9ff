"""Requests over a number of connections for some seconds: python -m … PORT SECONDS CLIENTS; requests on standard input.

Plain asyncio, so that the clients take little of the machine. Prints requests per second, and times in milliseconds.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


async def client(port: int, requests: Iterator[bytes], until: float) -> list[float]:
    """Send requests one after the other over one connection; return how long each took, in seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    while (began := time.perf_counter()) < until:
        writer.write(next(requests))
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        assert head.startswith(b"HTTP/1.1 200") and length is not None, head
        await reader.readexactly(int(length[1]))
        took.append(time.perf_counter() - began)
    writer.close()
    return took


async def main() -> None:
    """Run all clients."""
    port, seconds, clients = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    given = json.loads(sys.stdin.read())
    requests = itertools.cycle(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {given['token']}\r\n\r\n".encode()
        for path in given["paths"]
    )
    began = time.perf_counter()
    found = await asyncio.gather(*(client(port, requests, began + seconds) for _ in range(clients)))
    lasted, took = time.perf_counter() - began, sorted(itertools.chain(*found))
    p99 = took[int(len(took) * 0.99)]
    result = {"requests_s": len(took) / lasted, "p50_ms": statistics.median(took) * 1000, "p99_ms": p99 * 1000}
    print(json.dumps(result))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
