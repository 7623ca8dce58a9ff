"""Clients of streams over plain sockets, which see how a stream ends."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import httpx

from tests.e2e.processes import Machine
from tests.support.waiting import HANG_SECONDS

LAST_CHUNK = b"\r\n0\r\n\r\n"  # of a body; the connection may stay open after it


class Follower(threading.Thread):
    """Reads a stream over a bare socket and keeps what came and how it ended."""

    def __init__(self, machine: Machine, client: httpx.Client, execution_id: str, *, after: int) -> None:
        super().__init__(daemon=True)
        self.received = b""
        self.reset = False
        self._socket = socket.create_connection(("127.0.0.1", machine.port))
        self._socket.sendall(
            f"GET /api/v1/executions/{execution_id}/stream HTTP/1.1\r\nHost: 127.0.0.1:{machine.port}\r\n"
            f"Authorization: {client.headers['Authorization']}\r\nLast-Event-ID: {after}\r\n\r\n".encode()
        )

    def run(self) -> None:
        try:
            while not self.received.endswith(LAST_CHUNK) and (data := self._socket.recv(65536)):
                self.received += data
        except ConnectionResetError:
            self.reset = True

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    @property
    def numbers(self) -> list[int]:
        """The numbers of the events that came."""
        return [int(found) for found in re.findall(rb"^event: .+\nid: (\d+)$", self.received, re.MULTILINE)]

    @property
    def ended_cleanly(self) -> bool:
        """Whether the last chunk of the body arrived."""
        return not self.reset and self.received.endswith(LAST_CHUNK)


@contextmanager
def following(
    machine: Machine, client: httpx.Client, execution_id: str, *, after: Iterable[int]
) -> Iterator[list[Follower]]:
    """Provide a client of a stream for each number after which one goes on; they are waited for at the end."""
    followers = [Follower(machine, client, execution_id, after=last) for last in after]
    try:
        for each in followers:
            each.start()
        yield followers
        for each in followers:
            each.join(HANG_SECONDS)
    finally:
        for each in followers:
            each.close()
