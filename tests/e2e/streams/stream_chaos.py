"""Streams with random faults; `python -m tests.e2e.streams.stream_chaos` runs longer, and repeatedly."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import ROOT, SERVERS, Machine, machine
from tests.e2e.streams.chaos_clients import Client
from tests.support.waiting import HANG_SECONDS

EXECUTIONS = 5
CLIENTS = 20
SIZES = (40_000, *([250] * 9 + [4_000]) * 10)  # characters of the events, in turn
STALL = 0.8  # of the time that the writing takes, in which one client does not read
LISTENERS_SECONDS = 2.0  # between two cuts of the LISTEN connections
WEB_SECONDS = (2.0, 9.0)  # when a web process is killed first, and then every so often
POSTGRES_SECONDS = (4.0, 15.0)
SETTINGS = {"STREAM_QUEUE_SIZE": "20", "STREAM_KEEPALIVE_SECONDS": "2", "LOG_LEVEL": "WARNING"}
_CUT_LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'scriptorium-listener'"
)


@contextmanager
def event_writer(
    installed: Machine, *, executions: int, events: int, per_second: int, sizes: Sequence[int]
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Provide a process that writes events after `start_writing`, with the token and ids that it has prepared."""
    numbers = map(str, (executions, events, per_second, *sizes))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.streams.event_writer_process", *numbers],
        cwd=ROOT,
        env=installed._env({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
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


def start_writing(writer: subprocess.Popen[str]) -> None:
    """Start the event writer."""
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.flush()


def has_written(writer: subprocess.Popen[str]) -> bool:
    """Wait until the event writer has written all events."""
    assert writer.stdout is not None
    return "written" in json.loads(writer.stdout.readline())


@dataclass
class Fire:
    """One run: two web processes, one PostgreSQL, one writer, many clients, and what breaks them."""

    data_dir: Path
    server: str = "daphne"
    events: int = 5_000
    per_second: int = 600
    seed: int = 1
    did: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Prepare the chance of all that is not decided by the machine."""
        self._chance = self._chance_of("fire")
        self._reads_on = asyncio.Event()

    def _chance_of(self, whom: str) -> random.Random:
        return random.Random(f"{self.seed} {whom}")  # noqa: S311 - it has to be repeatable

    @property
    def reconnects(self) -> int:
        """How often a client came back."""
        return self.counted["connections"] - CLIENTS - 1

    def run(self) -> None:
        """Burn until every client has everything, and count what went wrong."""
        with (
            machine(self.data_dir, server=self.server, **SETTINGS) as self._first,
            machine(self.data_dir, server=self.server, **SETTINGS) as self._second,
        ):
            self._first.serve("--no-worker")
            starting = self._second.start_web("--no-worker")
            size = {"executions": EXECUTIONS, "events": self.events, "per_second": self.per_second}
            with event_writer(self._first, sizes=SIZES, **size) as (writer, known):
                self._second.wait_for(starting)
                self._began = time.monotonic()
                asyncio.run(self._burn(writer, self._clients(known)))
                self.did["seconds"] = self._seconds()
            if "Traceback" in self._first.logs():
                self.faults.append(self._first.logs())

    def _clients(self, known: dict[str, Any]) -> list[Client]:
        ports = (self._first.port, self._second.port)
        paths = [f"/api/v1/executions/{known['ids'][number % EXECUTIONS]}/stream" for number in range(CLIENTS)]
        paths.append("/api/v1/scopes/project/p/stream")
        clients = [
            Client(path, known["token"], ports, self._chance_of(f"{number}"), sizes=SIZES)
            for number, path in enumerate(paths)
        ]
        clients[0].ports, clients[0].reads_on = ports[:1], self._reads_on  # the process that is not killed
        clients[-1].until = self.events
        return clients

    async def _burn(self, writer: subprocess.Popen[str], clients: list[Client]) -> None:
        seconds = self.events / self.per_second
        following = asyncio.gather(*(client.follow() for client in clients))
        start_writing(writer)
        writing = asyncio.create_task(asyncio.to_thread(has_written, writer))
        writing.add_done_callback(lambda _: self.did.update({"seconds of writing": self._seconds()}))
        breaking = asyncio.gather(
            self._again(self._cut_listeners, following, LISTENERS_SECONDS, LISTENERS_SECONDS),
            self._again(self._kill_web, writing, *WEB_SECONDS),
            self._again(self._restart_postgres, writing, *POSTGRES_SECONDS),
            self._read_on(STALL * seconds),
        )
        try:
            async with asyncio.timeout(HANG_SECONDS + 3 * seconds):
                await asyncio.gather(following, writing, breaking)
        except TimeoutError:
            missing = [(client.path, client.last) for client in clients if not client.over]
            self.faults.append(f"it does not end: {missing}\n{self._first.logs()}")
        finally:
            writer.kill()  # the thread waits for its word
            for each in (following, breaking):
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each
        self._settle(clients)

    def _settle(self, clients: list[Client]) -> None:
        lasts = [client.last for client in clients]
        if lasts != [self.events // EXECUTIONS] * CLIENTS + [self.events]:
            self.faults.append(f"the clients have {lasts}")
        for client in clients:
            self.counted += client.counted
            self.faults += [f"{client.path}: {fault}" for fault in client.faults]

    async def _again(
        self, do: Callable[[], None], until: Awaitable[Any] | asyncio.Future[Any], first: float, then: float
    ) -> None:
        over = asyncio.ensure_future(until)
        wait = first
        while not over.done():
            await asyncio.wait({over}, timeout=wait)
            wait = then
            if not over.done():
                await asyncio.to_thread(do)

    async def _read_on(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._reads_on.set()

    def _seconds(self) -> int:
        return round(time.monotonic() - self._began)

    def _cut_listeners(self) -> None:
        try:
            with psycopg.connect(instance.url(self.data_dir), connect_timeout=2) as connection:
                self.did["LISTEN connections cut"] += connection.execute(_CUT_LISTENERS).rowcount
        except psycopg.OperationalError:
            self.did["PostgreSQL away"] += 1

    def _kill_web(self) -> None:
        process = self._second.processes[-1]
        process.kill()
        process.wait()
        self._second.start_web("--no-worker")
        self.did["web processes killed"] += 1

    def _restart_postgres(self) -> None:
        note = instance.home_of(self.data_dir) / "data" / "postmaster.pid"
        number = self._chance.choice([signal.SIGQUIT, signal.SIGKILL, signal.SIGINT])
        os.kill(int(note.read_text(encoding="utf-8").split()[0]), number)
        self.did[f"PostgreSQL restarted ({number.name})"] += 1

    def __str__(self) -> str:
        """Return what it survived."""
        return f"{self.server}, seed {self.seed}: {self.reconnects} reconnects, {dict(self.did)}; {dict(self.counted)}"


def main() -> int:
    """Run it as often as wanted, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--per-second", type=int, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--server", choices=SERVERS, default=SERVERS[0])
    chosen = parser.parse_args()
    burnt = 0
    for seed in range(chosen.seed, chosen.seed + chosen.times):
        with tempfile.TemporaryDirectory(prefix="scriptorium-fire-") as directory:
            fire = Fire(Path(directory), chosen.server, chosen.events, chosen.per_second, seed)
            fire.run()
        sys.stdout.write("\n".join([str(fire), *fire.faults[:20], ""]))
        sys.stdout.flush()
        burnt += bool(fire.faults)
    return min(burnt, 1)


if __name__ == "__main__":
    sys.exit(main())
