"""A TCP proxy of the tests' own: what a network does to connections, by switches, and a count of what passes.

It runs in a thread of its own, listens on a free port of 127.0.0.1, and speaks to a TCP port or to a Unix socket:

    with tcp_proxy(("127.0.0.1", 5432)) as link:
        link.latency = 0.2  # holds at once, also for connections that are open

Where it stands before PostgreSQL it counts round trips: how often a client sent something after it had an answer.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.support.postgres_messages import Statements

Target = tuple[str, int] | Path
_T = TypeVar("_T")

CHUNK_BYTES = 65_536
CHUNKS_ON_THE_WAY = 256  # of a direction; more are left to the sender's socket, as a network would
ANSWER_SECONDS = 30.0  # of the proxy's thread to the test's


@dataclass(eq=False)
class Connection:
    """A client's connection through the proxy."""

    number: int
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    silent: bool = False  # for good: what it was to pass on is lost
    answered: bool = True  # the client has had bytes since it last sent some
    trips: list[bytes] = field(default_factory=list)  # what the client sent in each round trip
    statements: Statements = field(default_factory=Statements)
    said: list[list[str]] = field(default_factory=list)  # the statements of each round trip; empty: they go on


class TcpProxy:
    """Passes on what comes to its port. Switches and counts may be used from any thread.

    Attributes:
        latency: Seconds that bytes are on their way, in each direction.
        jitter: Seconds that they may be on their way beyond that, at random. They stay in order.
        bandwidth: Bytes per second, of each direction of each connection; None: no limit.
        silence: Take bytes, and new connections, and never answer. A connection stays silent when this ends.
    """

    def __init__(self, target: Target) -> None:
        """Prepare to pass on to `target`: a host and a port, or the path of a Unix socket."""
        self.target = target
        self.latency = self.jitter = 0.0
        self.bandwidth: float | None = None
        self.port = 0
        self.opened = 0  # connections so far
        self.max_count = 0  # open at once
        self._stalled_until = 0.0
        self._silence = False
        self._open: dict[Connection, asyncio.Task[None]] = {}
        self._seen: list[Connection] = []  # since the counts were reset
        self._loop = asyncio.new_event_loop()
        self._listener: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)

    # --- switches ---------------------------------------------------------------------------------------------------

    @property
    def silence(self) -> bool:
        """Whether bytes are taken and never answered."""
        return self._silence

    @silence.setter
    def silence(self, value: bool) -> None:
        def change() -> None:
            self._silence = value
            for each in self._open if value else ():
                each.silent = True

        self._call(change)

    def stall(self, seconds: float) -> None:
        """Read nothing from either side for a time; what is sent meanwhile arrives after that."""
        self._stalled_until = time.monotonic() + seconds

    def reset_all(self) -> None:
        """Break every open connection with a TCP reset, on both sides."""
        self._call(self._reset_all)

    def go_down(self) -> None:
        """Refuse new connections from now on. Open ones stay."""
        self._run(self._unlisten)

    def come_up(self) -> None:
        """Take new connections again, on the same port."""
        self._run(self._listen)

    # --- counts -----------------------------------------------------------------------------------------------------

    @property
    def open_now(self) -> int:
        """Connections that are open."""
        return self._call(lambda: len(self._open))

    @property
    def trips(self) -> int:
        """Round trips since the counts were last reset, of all connections together."""
        return len(self.sent())

    def sent(self) -> list[bytes]:
        """Return what clients sent since the counts were last reset, round trip by round trip."""
        return self._call(lambda: [trip for each in self._seen for trip in each.trips])

    def said(self) -> list[list[str]]:
        """Return the statements that clients sent to PostgreSQL since then, round trip by round trip."""
        return self._call(lambda: [list(trip) for each in self._seen for trip in each.said])

    def reset_counts(self) -> None:
        """Count from here on: round trips from none, connections from those that are open."""

        def reset() -> None:
            self._seen = [*self._open]
            self.opened, self.max_count = 0, len(self._open)
            for each in self._seen:
                each.trips.clear()
                each.said.clear()
                each.answered = True

        self._call(reset)

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._run(self._listen)

    def close(self) -> None:
        """Break what is open, and end."""
        self._run(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_SECONDS)
        self._loop.close()

    def _run(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(ANSWER_SECONDS)

    def _call(self, work: Callable[[], _T]) -> _T:
        async def call() -> _T:
            return work()

        return self._run(call)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._take, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _unlisten(self) -> None:
        if self._listener is not None:
            self._listener.close()  # and wait for nothing: open connections stay
            self._listener = None

    async def _end(self) -> None:
        await self._unlisten()
        tasks = [*self._open.values()]
        self._reset_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reset_all(self) -> None:
        for connection, task in self._open.items():
            for each in (connection.client, connection.server):
                if each is not None:
                    _reset(each)
            task.cancel()

    # --- connections ------------------------------------------------------------------------------------------------

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        connection = Connection(self.opened, writer, silent=self._silence)
        task = asyncio.current_task()
        assert task is not None
        self._open[connection] = task
        self._seen.append(connection)
        self.max_count = max(self.max_count, len(self._open))
        try:
            await self._serve(connection, reader)
        except (OSError, asyncio.CancelledError):
            _reset(writer)  # a server that cannot be reached, a side that broke, or `reset_all`
        finally:
            for each in (connection.client, connection.server):
                if each is not None:
                    each.close()
            del self._open[connection]

    async def _serve(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        if connection.silent:
            while await reader.read(CHUNK_BYTES):
                pass
            return
        if isinstance(self.target, Path):
            from_server, to_server = await asyncio.open_unix_connection(self.target)
        else:
            from_server, to_server = await asyncio.open_connection(*self.target)
        connection.server = to_server
        work = [
            *self._direction(connection, reader, to_server),
            *self._direction(connection, from_server, connection.client),
        ]
        tasks = [asyncio.ensure_future(each) for each in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for each in tasks:
                each.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    def _direction(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Iterator[Coroutine[Any, Any, None]]:
        """Return what passes on what one side sends, until it has sent all; the other side may still send."""
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_ON_THE_WAY)
        yield self._read(connection, reader, on_the_way, to_server=writer is connection.server)
        yield self._deliver(connection, on_the_way, writer)

    async def _read(
        self,
        connection: Connection,
        reader: asyncio.StreamReader,
        on_the_way: asyncio.Queue[tuple[float, bytes]],
        *,
        to_server: bool,
    ) -> None:
        data = b"-"
        while data:
            data = await reader.read(CHUNK_BYTES)
            while (left := self._stalled_until - time.monotonic()) > 0:
                await asyncio.sleep(left)
            if data and to_server:
                _count(connection, data)
            due = time.monotonic() + self.latency + random.uniform(0, self.jitter)  # noqa: S311
            await on_the_way.put((due, data))

    async def _deliver(
        self, connection: Connection, on_the_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        to_client = writer is connection.client
        while True:
            due, data = await on_the_way.get()
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            if self.bandwidth is not None:
                await asyncio.sleep(len(data) / self.bandwidth)
            if not data:
                if not (connection.silent and to_client):
                    writer.write_eof()
                return
            if connection.silent:
                continue
            writer.write(data)
            connection.answered = connection.answered or to_client
            await writer.drain()


def _count(connection: Connection, data: bytes) -> None:
    if connection.answered or not connection.trips:
        connection.trips.append(data)
        connection.said.append(connection.statements.feed(data))
        connection.answered = False
    else:
        connection.trips[-1] += data
        connection.said[-1] += connection.statements.feed(data)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset where the socket has such a thing."""
    raw = writer.get_extra_info("socket")
    with suppress(OSError):  # it is closed already
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def tcp_proxy(target: Target) -> Iterator[TcpProxy]:
    """Provide a proxy that passes on to `target`, and end it afterwards."""
    made = TcpProxy(target)
    made.start()
    try:
        yield made
    finally:
        made.close()
