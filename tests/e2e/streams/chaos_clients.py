"""Clients of streams that often drop their connections, and record what they receive."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.waiting import HANG_SECONDS

RETRY_SECONDS = 0.1
END_SECONDS = HANG_SECONDS  # for a stream to end after its last event
SMALL_BUFFER, LARGE_BUFFER = 4_096, 1_000_000  # bytes that the kernel keeps for a client that does not read, or does
_ALL_SORTS = 'Straße, "naïve"\n\nid: 7\ndata: 東京 🙂\r\n'


def text_of(number: int, sizes: Sequence[int]) -> str:
    """Return what the event of this number tells, of all sorts of characters; the sizes take turns."""
    whole = f"{number} {_ALL_SORTS}"
    length = sizes[number % len(sizes)]
    return (whole * (length // len(whole) + 1))[:length]


class Body:
    """A body that comes in chunks of chunks; gives the messages in it as soon as they are whole."""

    def __init__(self) -> None:
        self.ended = False
        self._raw = b""
        self._left = 0  # of a chunk, with the line break behind it
        self._text = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take in what has arrived; return the messages that are whole now."""
        self._raw += data
        while self._raw and self._has_chunk():
            part, self._raw = self._raw[: self._left], self._raw[self._left :]
            self._text += part[: max(self._left - 2, 0)]
            self._left -= len(part)
        *messages, self._text = self._text.split(b"\n\n")
        return messages

    def _has_chunk(self) -> bool:
        if not self._left:
            size, found, rest = self._raw.partition(b"\r\n")
            if not found:
                return False
            self._raw, self._left = rest, int(size, 16) + 2
            self.ended = self._left == 2
        return True


@dataclass
class Client:
    """Follows an execution, or the feed of a scope, through any of the web servers, with its last id."""

    path: str
    token: str
    ports: Sequence[int]
    chance: random.Random
    sizes: Sequence[int]  # of the texts of events
    until: int = 0  # the last event of a feed; of an execution the stream tells
    cut_after_seconds: float = 2.0  # on average
    cut_after_bytes: float = 200_000.0  # on average, if that is earlier
    reads_on: asyncio.Event | None = None  # it does not read before
    ends_early: bool = False  # it is held by a proxy, which may end it at any time
    last: int = 0
    completed: bool = False
    over: bool = False
    counted: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _sequences: Counter[str] = field(default_factory=Counter)

    async def follow(self) -> None:
        """Read until the end, over any number of connections."""
        while not self.over:
            self.counted["connections"] += 1
            patient = self.reads_on is not None
            seconds = END_SECONDS if self.completed else self.chance.expovariate(1 / self.cut_after_seconds)
            try:
                async with asyncio.timeout(None if patient else seconds) as self._patience:
                    await self._connection(patient=patient)
            except TimeoutError:
                self._cut(f"it did not end within {END_SECONDS:.0f} s of {self.last}")
            except (OSError, EOFError) as error:
                self.counted["cut by others"] += 1
                if patient and self.reads_on is None:
                    self.faults.append(f"the line of a client that did not read was cut: {error!r}")
            await asyncio.sleep(self.chance.uniform(0, RETRY_SECONDS))

    def _cut(self, otherwise: str) -> None:
        self.counted["cut by itself"] += 1
        if self.completed and not self.over:
            self.faults.append(otherwise)

    async def _connection(self, *, patient: bool) -> None:
        line = socket.socket()
        line.setblocking(False)
        if patient:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        try:
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", self.chance.choice(self.ports)))
        except BaseException:
            line.close()
            raise
        reader, writer = await asyncio.open_connection(sock=line, limit=2**14)
        try:
            writer.write(self._request())
            head = await reader.readuntil(b"\r\n\r\n")
            if self.reads_on is not None:
                await self.reads_on.wait()
                self.reads_on = None
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LARGE_BUFFER)
            if await self._is_stream(int(head.split(b" ", 2)[1]), head):
                await self._read(reader, patient=patient)
        finally:
            if self.chance.random() < 0.5:
                writer.transport.abort()
            else:
                writer.close()

    def _request(self) -> bytes:
        in_query = self.last and self.chance.random() < 0.3
        query = f"?last_event_id={self.last}" if in_query else ""
        header = f"Last-Event-ID: {self.last}\r\n" if not in_query else ""
        head = f"GET {self.path}{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.token}\r\n"
        return f"{head}{header}\r\n".encode()

    async def _is_stream(self, status: int, head: bytes) -> bool:
        self.counted[f"answers {status}"] += 1
        if status == 204:
            self.over = True
            if not self.completed:
                self.faults.append(f"204 after {self.last}")
        elif status == 503 or (status == 502 and self.ends_early):
            await asyncio.sleep(RETRY_SECONDS)
        elif status != 200:
            self.faults.append(head.decode())
            self.over = True
        return status == 200

    async def _read(self, reader: asyncio.StreamReader, *, patient: bool) -> None:
        body, left = Body(), int(self.chance.expovariate(1 / self.cut_after_bytes)) + 1
        while not (body.ended or self.over):
            size = 2**16 if patient or self.completed else min(left, 2**16)
            if not (data := await reader.read(size)):
                raise EOFError("the line was cut")
            for message in body.feed(data):
                self._take(message)
            left -= len(data)
            if left <= 0 and not (patient or self.completed):
                self._cut("")
                return
        self.counted["ends"] += 1
        if body.ended and not (self.completed or self.over or self.ends_early):
            self.faults.append(f"the stream ended after {self.last}")

    def _take(self, message: bytes) -> None:
        lines = dict(line.split(b": ", 1) for line in message.splitlines() if line and not line.startswith(b":"))
        if b"data" not in lines:
            return
        number = int(lines[b"id"])
        self.counted["events"] += 1
        if number != self.last + 1:
            kind = "lost" if number > self.last + 1 else "doubled or out of order"
            self.counted[kind] += 1
            self.faults.append(f"{kind}: {number} after {self.last}")
        self.last = number
        self._look_at(json.loads(lines[b"data"]))
        self.over = number == self.until

    def _look_at(self, told: dict[str, Any]) -> None:
        """See that it is the next event of its execution, and whole."""
        if self.completed:
            self.faults.append(f"{self.last} came after the end")
        execution, sequence = told["execution_id"], told["sequence"]
        if sequence != self._sequences[execution] + 1:
            self.faults.append(f"{sequence} after {self._sequences[execution]} of {execution}")
        self._sequences[execution] = sequence
        if told["data"] != {"number": sequence, "text": text_of(sequence, self.sizes)}:
            self.faults.append(f"{sequence} of {execution} tells something else: {told['data']!r:.200}")
        if told["event_type"] == "complete" and not self.until:
            self.completed = True
            self._patience.reschedule(asyncio.get_running_loop().time() + END_SECONDS)
