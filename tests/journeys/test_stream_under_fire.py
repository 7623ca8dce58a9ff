"""Each event exactly once, in order, while everything between the table and the client is broken again and again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from orchestrator import postgres
from tests.journeys.processes import ROOT, Machine
from tests.journeys.under_fire import Reader

pytestmark = pytest.mark.journey

EVENTS = int(os.environ.get("FIRE_EVENTS", "5000"))
PER_SECOND = int(os.environ.get("FIRE_RATE", "600"))
SEED = int(os.environ.get("FIRE_SEED", "1"))
EXECUTIONS = 5
CLIENTS = 20
LONGEST_SECONDS = 1.2  # of a connection
DEADLINE_SECONDS = 40.0 + 3 * EVENTS / PER_SECOND
_CUT_LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'scriptorium-listener'"
)


@contextmanager
def storyteller(machine: Machine) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Provide who writes the events, and what it has prepared."""
    words = [sys.executable, "-m", "tests.journeys.storyteller", *map(str, (EXECUTIONS, EVENTS, PER_SECOND))]
    process = subprocess.Popen(
        words, cwd=ROOT, env=machine._env({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Fire:
    """Breaks things, each in its turn."""

    def __init__(self, first: Machine, second: Machine) -> None:
        self.did: Counter[str] = Counter()
        self._first = first
        self._second = second

    async def burn(self, over: Callable[[], bool]) -> None:
        """Break things until it is over: the listeners all the time, the rest once in a while."""
        turn = 0
        while not over():
            await asyncio.sleep(0.7)
            turn += 1
            await asyncio.to_thread(self._cut_listeners)
            if turn % 8 == 3:
                await asyncio.to_thread(self._kill_web)
            if turn % 16 == 7:
                self._restart_postgres()

    def _cut_listeners(self) -> None:
        try:
            with psycopg.connect(postgres.url(self._first.data_dir), connect_timeout=2) as connection:
                self.did["listeners cut"] += connection.execute(_CUT_LISTENERS).rowcount
        except psycopg.OperationalError:
            self.did["database away"] += 1

    def _kill_web(self) -> None:
        process = self._second.processes[-1]
        process.kill()
        process.wait()
        self._second.start("serve", "--no-worker")
        self.did["web servers killed"] += 1

    def _restart_postgres(self) -> None:
        note = postgres.home_of(self._first.data_dir) / "data" / "postmaster.pid"
        os.kill(int(note.read_text().split()[0]), signal.SIGQUIT)
        self.did["PostgreSQL restarted"] += 1


async def _all_read(readers: list[Reader], fire: Fire) -> None:
    reading = [asyncio.create_task(reader.read()) for reader in readers]
    burning = asyncio.create_task(fire.burn(lambda: all(task.done() for task in reading)))
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(*reading)
            await burning
    finally:
        for task in (*reading, burning):
            task.cancel()
        await asyncio.gather(*reading, burning, return_exceptions=True)


def test_each_event_exactly_once_whatever_is_broken(fresh: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    fresh.environment |= {"STREAM_QUEUE_SIZE": "20", "STREAM_KEEPALIVE_SECONDS": "2"}
    second = Machine(fresh.data_dir, environment=fresh.environment)
    fresh.serve("--no-worker")
    try:
        second.serve("--no-worker")
        with storyteller(fresh) as (teller, known):
            chance = random.Random(SEED)  # noqa: S311 - it has to be repeatable
            ports = (fresh.port, second.port)
            common = {"token": known["token"], "ports": ports, "longest_seconds": LONGEST_SECONDS}
            readers = [
                Reader(f"/api/v1/executions/{known['ids'][number % EXECUTIONS]}/stream", chance=chance, **common)
                for number in range(CLIENTS)
            ]
            readers[0].pause_seconds = 4.0  # it does not read, and is far behind then
            feed = Reader("/api/v1/scopes/project/p/stream", chance=chance, ends=False, until=EVENTS, **common)
            assert teller.stdin is not None
            teller.stdin.write("\n")
            teller.stdin.flush()
            fire = Fire(fresh, second)
            asyncio.run(_all_read([*readers, feed], fire))
            assert teller.stdout is not None
            assert json.loads(teller.stdout.readline()) == {"told": EVENTS}
    finally:
        second.stop()
    counted = sum((reader.counted for reader in (*readers, feed)), Counter())
    with capsys.disabled():
        sys.stdout.write(f"\nsurvived {dict(fire.did)}; {dict(counted)}\n")
    assert [reader.last for reader in (*readers, feed)] == [EVENTS // EXECUTIONS] * CLIENTS + [EVENTS]
    assert counted["events"] == (CLIENTS // EXECUTIONS + 1) * EVENTS
    assert (counted["lost"], counted["doubled or out of order"], counted["wrong"]) == (0, 0, 0)
    assert counted["connections"] > 250
    assert min(fire.did[each] for each in ("listeners cut", "web servers killed", "PostgreSQL restarted")) > 0
