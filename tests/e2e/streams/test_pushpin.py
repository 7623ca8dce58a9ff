"""Feeds behind Pushpin: each event exactly once, whichever process between table and client is killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import cycle, islice

import httpx
import psycopg
import pytest
from httpx_sse import connect_sse

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, stream
from tests.e2e.streams.chaos_clients import Client
from tests.e2e.streams.pushpin import Pushpin, pushpin
from tests.e2e.streams.stream_chaos import event_writer, has_written, start_writing
from tests.support.waiting import Stopwatch

pytestmark = [pytest.mark.e2e, pytest.mark.pushpin]

EVENTS = int(os.environ.get("PUSHPIN_EVENTS", "1500"))
PER_SECOND = int(os.environ.get("PUSHPIN_RATE", "250"))
SIZES = (*[250] * 299, 60_000)  # characters of the events, in turn; the relay leaves the large ones out
CLIENTS = 20
KILL_SECONDS = 1.0  # between two
FEED = "/api/v1/scopes/project/p/stream"


def feed(port: int, token: str, *, after: int) -> Iterator[tuple[int, str]]:
    """Yield (id, event) of the feed until it is ended."""
    headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": str(after)}
    url = f"http://127.0.0.1:{port}{FEED}"
    with httpx.Client(timeout=30) as client, connect_sse(client, "GET", url, headers=headers) as source:
        assert source.response.status_code == 200, source.response.read()
        for event in source.iter_sse():
            if event.data:
                yield int(event.id), event.event


class Fire:
    """Kills what is between the table and the clients, each in its turn."""

    def __init__(self, machine: Machine, proxy: Pushpin) -> None:
        self.did: Counter[str] = Counter()
        self._machine = machine
        self._proxy = proxy
        self._web = machine.serve("--no-worker")
        self._relay = machine.start("relay")

    async def burn(self, writer: subprocess.Popen[str], clients: list[Client]) -> None:
        """Write events while all clients follow, and kill processes until every event is written."""
        async with asyncio.timeout(30 + 3 * EVENTS / PER_SECOND), asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client.follow())
            start_writing(writer)
            writing = asyncio.create_task(asyncio.to_thread(has_written, writer))
            for kill in cycle((self._kill_relay, self._kill_pushpin, self._kill_relay, self._kill_web)):
                await asyncio.wait({writing}, timeout=KILL_SECONDS)
                if writing.done():
                    break
                await asyncio.to_thread(kill)

    def _kill_relay(self) -> None:
        self._relay.kill()
        self._relay.wait()
        self._relay = self._machine.start("relay")
        self.did["relay"] += 1

    def _kill_web(self) -> None:
        self._web.kill()
        self._web.wait()
        self._web = self._machine.start_web("--no-worker")
        self.did["web"] += 1

    def _kill_pushpin(self) -> None:
        self._proxy.kill()
        self._proxy.start()
        self.did["pushpin"] += 1


def test_each_event_of_a_feed_exactly_once_whatever_is_killed(
    fresh: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    with pushpin(fresh) as proxy:
        fire = Fire(fresh, proxy)
        with event_writer(fresh, executions=5, events=EVENTS, per_second=PER_SECOND, sizes=SIZES) as (writer, known):
            chance = random.Random(1)  # noqa: S311 - it has to be repeatable
            clients = [
                Client(FEED, known["token"], [proxy.port], chance, SIZES, until=EVENTS, ends_early=True)
                for _ in range(CLIENTS)
            ]
            for client in clients[CLIENTS // 2 :]:  # these stay as long as they can
                client.cut_after_seconds, client.cut_after_bytes = 1e9, 1e12
            asyncio.run(fire.burn(writer, clients))
        counted = sum((client.counted for client in clients), Counter[str]())
        with capsys.disabled():
            sys.stdout.write(f"\nkilled {dict(fire.did)}; {dict(counted)}\n")
        assert [fault for client in clients for fault in client.faults] == []
        assert [client.last for client in clients] == [EVENTS] * CLIENTS
        assert counted["events"] == CLIENTS * EVENTS
        assert min(fire.did[each] for each in ("relay", "pushpin", "web")) > 0


@pytest.fixture
def behind(fresh: Machine) -> Iterator[Pushpin]:
    """A web process behind Pushpin, which looks again every two seconds."""
    fresh.environment["GRIP_RECHECK_SECONDS"] = "2"
    with pushpin(fresh) as proxy:
        fresh.serve("--no-worker")
        yield proxy


def test_events_come_at_once_with_the_relay_and_late_without_it(fresh: Machine, behind: Pushpin) -> None:
    relay = fresh.start("relay")
    with fresh.client() as client:
        token = client.headers["Authorization"].removeprefix("Bearer ")
        start_execution(client, CLOSED_BRIEF, key="p")
        events = feed(behind.port, token, after=0)
        assert [number for number, _ in islice(events, 1)] == [1]
        fresh.environment["GRIP_RECHECK_SECONDS"] = "2"
        took = []
        for number in (2, 3, 4):
            if number == 4:
                relay.kill()
                relay.wait()
            start_execution(client, CLOSED_BRIEF, key="p")
            watch = Stopwatch()
            assert next(events) == (number, "execution_created")
            took.append(watch.seconds())
        assert min(took[:2]) < 0.5
        assert took[2] < 10


@pytest.mark.parametrize("per_second", [1, 100])
def test_a_client_that_loses_access_is_disconnected(fresh: Machine, behind: Pushpin, per_second: int) -> None:
    fresh.start("relay")
    with event_writer(fresh, executions=1, events=10_000, per_second=per_second, sizes=[250]) as (writer, known):
        start_writing(writer)
        events = feed(behind.port, known["token"], after=0)
        seen = [number for number, _ in islice(events, 3 * per_second)]
        assert seen == list(range(1, 3 * per_second + 1))
        with psycopg.connect(instance.url(fresh.data_dir)) as connection:
            connection.execute("DELETE FROM knox_authtoken")
        watch = Stopwatch()
        last = max((number for number, _ in events), default=0)
        assert watch.seconds() < 10
        assert last < 15 * per_second
        with pytest.raises(AssertionError, match="authentication"):
            next(feed(behind.port, known["token"], after=0))


def test_executions_and_chosen_types_go_straight_through(fresh: Machine, behind: Pushpin) -> None:
    fresh.start("worker")
    with fresh.client() as client:
        through = httpx.Client(base_url=f"http://127.0.0.1:{behind.port}/api/v1", headers=client.headers, timeout=60)
        with through:
            execution_id = start_execution(through, CLOSED_BRIEF, workflow_id="vendor-assessment", key="p")
            seen = [number for number, _, _ in stream(through, execution_id)]
            assert seen == list(range(1, len(seen) + 1))
            path = "/scopes/project/p/stream?types=complete&last_event_id=0"
            with connect_sse(through, "GET", path) as source:
                assert next(event.json()["event_type"] for event in source.iter_sse() if event.data) == "complete"


def test_a_header_that_pushpin_has_not_signed_is_nothing(fresh: Machine, behind: Pushpin) -> None:
    with fresh.client() as client:
        start_execution(client, CLOSED_BRIEF, key="p")
        headers = {"Grip-Sig": "e30.e30.e30", "Grip-Last": "feed-x; last-id=0", "Last-Event-ID": "0"}
        with connect_sse(client, "GET", "/scopes/project/p/stream", headers=headers) as source:
            assert "grip-hold" not in source.response.headers
            assert json.loads(next(event.data for event in source.iter_sse() if event.data))["sequence"] == 1
