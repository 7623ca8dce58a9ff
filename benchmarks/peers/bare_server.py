"""Plain asyncio: each event is encoded once, and written to every client. python -m … PORT."""

from __future__ import annotations

import asyncio
import json
import sys

import psycopg

from benchmarks.workload import database_url

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

channels: dict[str, set[asyncio.Transport]] = {}


class Client(asyncio.Protocol):
    """A connection of a client."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Store the transport."""
        self.transport = transport
        self.channel = ""

    def data_received(self, data: bytes) -> None:
        """Answer the request."""
        self.channel = data.split(b" ", 2)[1].decode().rpartition("/")[2]
        self.transport.write(HEAD)
        channels.setdefault(self.channel, set()).add(self.transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Remove the connection."""
        channels.get(self.channel, set()).discard(self.transport)


async def main() -> None:
    """Serve, and forward notifications."""
    await asyncio.get_running_loop().create_server(Client, "127.0.0.1", int(sys.argv[1]), backlog=1000)
    async with await psycopg.AsyncConnection.connect(database_url(), autocommit=True) as connection:
        await connection.execute("LISTEN bench_events")
        async for notification in connection.notifies():
            event = json.loads(notification.payload)
            text = f"event: {event['event_type']}\nid: {event['sequence']}\ndata: {notification.payload}\n\n"
            body = text.encode()
            chunk = b"%x\r\n%s\r\n" % (len(body), body)
            for transport in channels.get(event["execution_id"], ()):
                transport.write(chunk)


if __name__ == "__main__":
    asyncio.run(main())
