"""A process with any number of stream clients, controlled by lines of JSON.

The clients are the same for every server, and their CPU is not counted. They record the number in each event's data,
and its arrival time on the monotonic clock of the machine.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import socket
import sys
import time
from typing import Any

from benchmarks.metrics import percentile

MAX_CONNECTING = 40  # concurrent connection attempts
OPEN_SECONDS = 60.0  # timeout of a connection attempt
SMALL_BUFFER = 16_384  # kernel buffer of a client that does not read

_NUMBER = re.compile(rb'"number\\?": ?(\d+)')


class Follower(asyncio.Protocol):
    """A client of one stream."""

    def __init__(self, request: bytes, *, stalled: bool) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reached = asyncio.Event()  # set when the wanted number has arrived
        self.numbers: list[int] = []
        self.times: list[float] = []
        self.stalled = stalled
        self._request = request
        self._wanted = sys.maxsize
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Request the stream."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Record the numbers in the data."""
        now = time.monotonic()
        data = self._rest + data
        if not self.opened.done():
            self._open(data)
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        for number in _NUMBER.findall(data, 0, end):
            self.numbers.append(int(number))
            self.times.append(now)
        if self.numbers and self.numbers[-1] >= self._wanted:
            self.reached.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the pending open."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"closed before the response: {exc}"))

    def want(self, number: int) -> None:
        """Set the number to wait for."""
        self._wanted = number
        self.reached.clear()
        if self.numbers and self.numbers[-1] >= number:
            self.reached.set()

    def _open(self, data: bytes) -> None:
        if data.partition(b"\r\n")[0].split()[1:2] != [b"200"]:
            self.opened.set_exception(ConnectionError(f"rejected: {data[:500]!r}"))
            return
        self.opened.set_result(None)
        if self.stalled:
            self.transport.pause_reading()


class Clients:
    """All clients of this process."""

    def __init__(self) -> None:
        self._followers: list[Follower] = []

    async def open(
        self, *, port: int, paths: list[str], headers: dict[str, str], stalled: bool = False
    ) -> dict[str, Any]:
        """Open a stream on each path; return once all streams are open."""
        began, slots = time.monotonic(), asyncio.Semaphore(MAX_CONNECTING)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

        async def one(path: str) -> Follower:
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}\r\n".encode()
            async with slots, asyncio.timeout(OPEN_SECONDS):
                connection = socket.socket()
                connection.setblocking(False)
                if stalled:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(connection, ("127.0.0.1", port))
                _, follower = await loop.create_connection(lambda: Follower(request, stalled=stalled), sock=connection)
                await follower.opened
                return follower

        self._followers += await asyncio.gather(*map(one, paths))
        return {"seconds": time.monotonic() - began}

    async def reach(self, *, numbers: list[int], seconds: float) -> dict[str, Any]:
        """Wait until each client, in order of creation, has its number; return the number of missing clients."""
        reading = [each for each in self._followers if not each.stalled]
        for follower, number in zip(reading, numbers, strict=True):
            follower.want(number)
        waiting = [asyncio.ensure_future(each.reached.wait()) for each in reading]
        _, missing = await asyncio.wait(waiting, timeout=seconds)
        for each in missing:
            each.cancel()
        return {"missing": len(missing)}

    async def measure(self, *, first: int, committed: list[float], each: int) -> dict[str, Any]:
        """Compute delays since the commits of the events, numbered from `first`; each client expects `each` events."""
        delays: list[float] = []
        repeated = distinct = 0
        readers = [follower for follower in self._followers if not follower.stalled]
        for follower in readers:
            pairs = [pair for pair in zip(follower.numbers, follower.times, strict=True) if pair[0] >= first]
            delays += [moment - committed[number - first] for number, moment in pairs]
            unique = len({number for number, _ in pairs})
            distinct, repeated = distinct + unique, repeated + len(pairs) - unique
        wanted = each * len(readers)
        return {
            "deliveries": len(delays),
            "lost": wanted - distinct,
            "repeated": repeated,
            "p50_ms": percentile(delays, 50) * 1000,
            "p99_ms": percentile(delays, 99) * 1000,
        }

    async def leave(self) -> dict[str, Any]:
        """Close all connections."""
        for follower in self._followers:
            follower.transport.abort()
        self._followers.clear()
        return {}


async def main() -> None:
    """Execute the commands on standard input."""
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    clients, loop = Clients(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer = await getattr(clients, command.pop("do"))(**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
