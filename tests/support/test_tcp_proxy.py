"""The tests' proxy: effects of its switches, and its counters."""

from __future__ import annotations

import os
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from orchestrator.embedded_postgres import instance
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import HANG_SECONDS

SOON = 0.3  # seconds in which an answer would have come


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionError):  # resets are part of what is tested
            while data := self.request.recv(65_536):
                self.request.sendall(data)


@pytest.fixture
def link() -> Iterator[TcpProxy]:
    """A proxy before a server that answers with what it is sent."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with tcp_proxy(("127.0.0.1", server.server_address[1])) as made:
            yield made
        server.shutdown()


def connect(link: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=HANG_SECONDS)


def echo(connection: socket.socket, data: bytes) -> float:
    """Send, receive all of it again, and return the seconds that this took."""
    began = time.monotonic()
    got = b""
    with ThreadPoolExecutor(1) as thread:  # bytes that are not read fill all buffers on the way
        sending = thread.submit(connection.sendall, data)
        while len(got) < len(data):
            got += connection.recv(65_536)
        sending.result()
    assert got == data
    return time.monotonic() - began


def until(link: TcpProxy, open_now: int) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while link.open_now != open_now:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_bytes_pass_unchanged_and_a_sender_that_has_ended_still_gets_its_answer(link: TcpProxy) -> None:
    with connect(link) as client:
        echo(client, os.urandom(300_000))
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b"last"
        assert client.recv(10) == b""


@pytest.mark.parametrize("length", [-(2**31), -4, 0, 3, 7, 8, 10_001, 2**31 - 1])
def test_what_is_not_postgresqls_passes_whatever_length_its_first_bytes_would_be(link: TcpProxy, length: int) -> None:
    with connect(link) as client:
        echo(client, struct.pack("!i", length) + bytes(range(256)))
        echo(client, b"more")
    assert link.said() == [[], []]


def test_latency_holds_in_both_directions_and_from_the_moment_it_is_set(link: TcpProxy) -> None:
    with connect(link) as client:
        link.latency = 0.1
        assert echo(client, b"slow") >= 0.2
        link.latency, link.jitter = 0.0, 0.05
        echo(client, bytes(range(256)) * 100)  # in order, however long each chunk takes


def test_bandwidth_is_limited(link: TcpProxy) -> None:
    with connect(link) as client:
        echo(client, b"x")
        link.bandwidth = 100_000
        assert echo(client, bytes(20_000)) >= 0.4  # there and back


def test_a_reset_breaks_open_connections_and_not_the_next_ones(link: TcpProxy) -> None:
    with connect(link) as client:
        echo(client, b"x")
        link.reset_all()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    until(link, 0)
    with connect(link) as client:
        echo(client, b"x")


def test_what_is_sent_in_a_stall_arrives_after_it(link: TcpProxy) -> None:
    with connect(link) as client:
        echo(client, b"x")
        link.stall(0.3)
        assert echo(client, b"y") >= 0.25


def test_silence_takes_bytes_and_never_answers(link: TcpProxy) -> None:
    with connect(link) as old:
        echo(old, b"x")
        link.silence = True
        with connect(link) as new:
            for client in (old, new):
                client.sendall(bytes(200_000))
                client.settimeout(SOON)
                with pytest.raises(TimeoutError):
                    client.recv(1)
            assert link.open_now == 2
            link.silence = False
            with pytest.raises(TimeoutError):
                old.recv(1)  # what it was to pass on is lost
        with connect(link) as client:
            echo(client, b"x")
    until(link, 0)


def test_down_it_refuses_new_connections_and_comes_up_on_the_same_port(link: TcpProxy) -> None:
    with connect(link) as client:
        echo(client, b"it is taken")
        link.go_down()
        with pytest.raises(ConnectionRefusedError):
            connect(link)
        echo(client, b"open ones stay")
        link.come_up()
        with connect(link) as other:
            echo(other, b"x")


def test_connections_are_counted(link: TcpProxy) -> None:
    with connect(link) as first, connect(link) as second:
        echo(first, b"x")
        echo(second, b"x")
        assert (link.open_now, link.max_count, link.opened) == (2, 2, 2)
    until(link, 0)
    with connect(link) as third:
        echo(third, b"x")
        assert (link.open_now, link.max_count, link.opened) == (1, 2, 3)
        link.reset_counts()
        assert (link.open_now, link.max_count, link.opened, link.trips) == (1, 1, 0, 0)


def test_a_server_that_cannot_be_reached_is_a_connection_that_breaks(tmp_path: Path) -> None:
    with tcp_proxy(tmp_path / "nothing") as link:
        with pytest.raises(ConnectionResetError), connect(link) as client:  # the reset may come as soon as it is made
            client.recv(1)
        until(link, 0)


def test_round_trips_to_postgresql_are_counted_as_the_client_waits() -> None:
    target = instance.socket_dir(Path(os.environ["DATA_DIR"])) / instance.SOCKET
    with tcp_proxy(target) as link:
        link.latency = 0.01
        where = f"postgresql://{instance.USER}@127.0.0.1:{link.port}/{instance.DATABASE}"
        with closing(psycopg.connect(where, autocommit=True)) as connection:
            link.reset_counts()
            connection.execute("SELECT 1")
            assert link.trips == 1
            with connection.transaction():
                connection.execute("SELECT %s::int", [2])
            assert link.trips == 4
            with connection.pipeline():
                for number in range(20):
                    connection.execute("SELECT %s::int", [number])
            assert link.trips == 5
            assert [sent.count(b"SELECT 1") for sent in link.sent()] == [1, 0, 0, 0, 0]
