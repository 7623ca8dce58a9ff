"""Clients of streams whose lines are cut all the time, and the one who cuts them."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

RETRY_SECONDS = 0.1


@dataclass
class Reader:
    """Follows an execution, or the feed of a scope, through any of the web servers, with its last id."""

    path: str
    token: str
    ports: Sequence[int]
    chance: random.Random
    longest_seconds: float  # until it cuts its own line
    pause_seconds: float = 0.0  # before it reads at all
    ends: bool = True  # it ends by itself; else at `until`
    until: int = 0
    last: int = 0
    counted: Counter[str] = field(default_factory=Counter)  # connections, events, lost, doubled, cuts, ends
    over: bool = False

    async def read(self) -> None:
        """Read until the end, over any number of connections."""
        while not self.over:
            self.counted["connections"] += 1
            with suppress(OSError, EOFError, asyncio.LimitOverrunError, ValueError):
                cut = self.chance.uniform(0, self.longest_seconds)
                try:
                    async with asyncio.timeout(cut + self.pause_seconds):
                        await self._connection()
                except TimeoutError:
                    self.counted["cuts"] += 1
                    continue
            await asyncio.sleep(self.chance.uniform(0, RETRY_SECONDS))

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.chance.choice(self.ports), limit=2**20)
        try:
            last = f"Last-Event-ID: {self.last}\r\n"
            head = f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.token}\r\n{last}\r\n"
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer.split(b" ", 2)[1])
            if status == 204:
                self.over = True
                return
            if status != 200:
                raise ValueError(answer)
            await asyncio.sleep(self.pause_seconds)
            self.pause_seconds = 0.0
            async for block in _blocks(reader):
                self._take(block)
            self.counted["ends"] += 1
        finally:
            writer.transport.abort()

    def _take(self, block: bytes) -> None:
        lines = dict(line.split(b": ", 1) for line in block.splitlines() if line and not line.startswith(b":"))
        if b"data" not in lines:
            return
        number, told = int(lines[b"id"]), json.loads(lines[b"data"])
        self.counted["events"] += 1
        self.counted["lost"] += max(number - self.last - 1, 0)
        self.counted["doubled or out of order"] += number <= self.last
        self.counted["wrong"] += self.ends and told["data"].get("number") != number
        self.last = number
        self.over = self.over or (not self.ends and number >= self.until)


async def _blocks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the messages of a body in chunks; ends with the last chunk."""
    rest = b""
    while size := int(await reader.readline(), 16):
        rest += await reader.readexactly(size)
        await reader.readexactly(2)
        *whole, rest = rest.split(b"\n\n")
        for block in whole:
            yield block
