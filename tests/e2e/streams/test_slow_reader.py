"""A client that does not read costs the web process little memory, however many events wait for it."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.e2e.processes import Machine
from tests.e2e.streams.chaos_clients import LARGE_BUFFER, SMALL_BUFFER, Body
from tests.e2e.streams.stream_chaos import event_writer, has_written, start_writing
from tests.support.waiting import HANG_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.torture]

EVENTS, SIZE = 5_000, 8_000  # 40 MB
PER_SECOND = 1_200
MOST_KIB = 5 * 1024
ROUNDS = 3  # memory also grows for other reasons, but not each time


class Reader(threading.Thread):
    """Opens a stream, and reads it to its end once it is started."""

    def __init__(self, machine: Machine, token: str, execution_id: str) -> None:
        super().__init__(daemon=True)
        self.numbers: list[int] = []
        self.bytes = 0
        self._body = Body()
        self._line = socket.socket()
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        self._line.connect(("127.0.0.1", machine.port))
        self._line.sendall(
            f"GET /api/v1/executions/{execution_id}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._line.recv(1)
        assert head.startswith(b"HTTP/1.1 200 "), head

    def run(self) -> None:
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LARGE_BUFFER)
        while not self._body.ended:
            data = self._line.recv(65_536)
            assert data, "the line was cut"
            self.bytes += len(data)
            for message in self._body.feed(data):
                self.numbers += map(int, re.findall(rb"^id: (\d+)$", message, re.MULTILINE))

    def all_read(self) -> list[int]:
        """Return the numbers of the events, once the stream has ended."""
        self.join(HANG_SECONDS)
        return self.numbers

    def close(self) -> None:
        """Leave."""
        self._line.close()


def kib_of(pid: int) -> int:
    """Return the memory of a process that is its own, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


def told(lines: ExitStack, machine: Machine, *, events: int) -> Reader:
    """Have so many events told, to a client that reads and another one, which does not yet."""
    numbers = {"executions": 1, "events": events, "per_second": PER_SECOND}
    with event_writer(machine, sizes=[SIZE], **numbers) as (writer, known):
        reader, other = (
            lines.enter_context(closing(Reader(machine, known["token"], known["ids"][0]))) for _ in range(2)
        )
        reader.start()
        start_writing(writer)
        assert has_written(writer)
        assert reader.all_read() == list(range(1, events + 1))
        return other


def test_a_client_that_does_not_read_costs_five_megabytes_at_most_while_forty_are_published(either: Machine) -> None:
    either.serve("--no-worker")
    pid = either.processes[-1].pid
    with ExitStack() as lines:
        late = told(lines, either, events=1_000)
        late.start()
        late.all_read()  # what such events need is there now
        deaf: list[Reader] = []
        grown: list[int] = []
        while not grown or (min(grown) > MOST_KIB and len(grown) < ROUNDS):
            before = kib_of(pid)
            deaf.append(told(lines, either, events=EVENTS))
            grown.append(kib_of(pid) - before)
        assert min(grown) <= MOST_KIB, grown
        for each in deaf:
            each.start()
            assert each.all_read() == list(range(1, EVENTS + 1))
            assert each.bytes > EVENTS * SIZE
