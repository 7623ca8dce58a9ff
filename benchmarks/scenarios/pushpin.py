"""`make bench-pushpin`: 500 clients of one feed, directly and through Pushpin.

Needs Pushpin, condure and zurl on the PATH. Takes three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import database, report
from benchmarks.metrics import percentile
from tests.e2e.processes import Machine, machine
from tests.e2e.streams.chaos_clients import Body
from tests.e2e.streams.pushpin import family, pushpin
from tests.e2e.streams.stream_chaos import event_writer, start_writing

PATH = "/api/v1/scopes/project/p/stream"
DEADLINE_SECONDS = 60.0
MAX_CONNECTING = 20  # clients that connect concurrently
_TICKS = os.sysconf("SC_CLK_TCK")
_VIEWERS = """
import json
from access.models import Scope, ScopeRole
from access.permissions import Role
from access.services import ensure_user, issue_token
scope = Scope.objects.get(type='project', key='p')
users = [ensure_user(name=f'viewer{{n}}') for n in range({users})]
ScopeRole.objects.bulk_create([ScopeRole(scope=scope, user=user, role=Role.VIEWER) for user in users])
print('tokens', json.dumps([issue_token(user)[1] for user in users]))
"""


class Client:
    """Follows the feed, and records the delay of each event."""

    def __init__(self, port: int, token: str) -> None:
        self.delays: list[float] = []
        self.numbers: list[int] = []
        self.ready = asyncio.Event()
        self._port = port
        self._token = token

    async def follow(self, until: int) -> None:
        """Read until an event number."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")
        body = Body()
        while not self.numbers or self.numbers[-1] < until:
            if not (data := await reader.read(2**16)):
                raise EOFError("the connection was closed")
            now = datetime.now(UTC)
            for message in body.feed(data):
                self._record(message, now)
        writer.close()

    def _record(self, message: bytes, now: datetime) -> None:
        self.ready.set()
        lines = dict(line.split(b": ", 1) for line in message.splitlines() if line and not line.startswith(b":"))
        if b"data" in lines:
            self.numbers.append(int(lines[b"id"]))
            written = datetime.fromisoformat(json.loads(lines[b"data"])["timestamp"])
            self.delays.append((now - written).total_seconds())


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU seconds of processes."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS


async def follow_all(clients: list[Client], *, until: int, begin: Callable[[], None]) -> None:
    """Connect all clients, call `begin`, and return once each client has all events."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        following = []
        for first in range(0, len(clients), MAX_CONNECTING):
            batch = clients[first : first + MAX_CONNECTING]
            following += [asyncio.create_task(client.follow(until)) for client in batch]
            for client in batch:
                await client.ready.wait()
        begin()
        await asyncio.gather(*following)


def measure(
    installation: Machine, options: argparse.Namespace, *, rate: int, through_pushpin: bool
) -> dict[str, float]:
    """Return the CPU seconds of each component, and the delays of the events in milliseconds."""
    until = rate * options.seconds
    with ExitStack() as stack:
        proxy = stack.enter_context(pushpin(installation)) if through_pushpin else None
        components = {"web": family(installation.serve("--no-worker").pid)}
        if proxy is not None:
            components |= {"relay": family(installation.start("relay").pid), "pushpin": proxy.pids}
        writer, _ = stack.enter_context(
            event_writer(installation, executions=1, events=until, per_second=rate, sizes=[options.characters])
        )
        output = installation.manage("shell", "-c", _VIEWERS.format(users=options.users))
        tokens = json.loads(output.rpartition("tokens ")[2]) * (options.clients // options.users)
        clients = [Client(proxy.port if proxy else installation.port, token) for token in tokens]
        before: dict[str, float] = {}

        def begin() -> None:
            before.update({component: cpu_seconds(pids) for component, pids in components.items()})
            start_writing(writer)

        asyncio.run(follow_all(clients, until=until, begin=begin))
        used = {component: cpu_seconds(pids) - before[component] for component, pids in components.items()}
    if any(client.numbers != list(range(1, until + 1)) for client in clients):
        raise AssertionError("a client did not receive each event exactly once")
    delays = [delay * 1000 for client in clients for delay in client.delays]
    quantiles = {f"p{each}_ms": percentile(delays, each) for each in (50, 99)}
    return {"through_pushpin": through_pushpin, "rate": rate, "deliveries": len(delays), **used, **quantiles}


def row_of(run: dict[str, float]) -> list[str]:
    """Return a row of the table."""
    cost = [
        f"{run[component] / run['deliveries'] * 1e6:.1f}" if component in run else "–"
        for component in ("web", "relay", "pushpin")
    ]
    route = "through Pushpin" if run["through_pushpin"] else "directly"
    return [route, str(run["rate"]), *cost, f"{run['p50_ms']:.0f}", f"{run['p99_ms']:.0f}"]


def main() -> None:
    """Measure both routes at each rate, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("clients", 500), ("users", 100), ("seconds", 20), ("characters", 250)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rates", type=int, nargs="+", default=[5, 50], help="events per second")
    options = parser.parse_args()
    database.start()
    runs = []
    for rate in options.rates:
        for through_pushpin in (False, True):
            with (
                tempfile.TemporaryDirectory() as place,
                machine(Path(place) / "data", POSTGRES_FSYNC="1") as installation,
            ):
                runs.append(measure(installation, options, rate=rate, through_pushpin=through_pushpin))
            report.say(" | ".join(row_of(runs[-1])))
    columns = ["", "events/s", *(f"{component}, µs" for component in ("web", "relay", "Pushpin")), "p50, ms", "p99, ms"]
    text = (
        f"{options.clients} clients of {options.users} users follow one feed for {options.seconds} s. CPU is that of "
        "the processes, per event and client; the delay is the time from the event's timestamp to the client.\n\n"
        f"{report.table(columns, map(row_of, runs))}"
    )
    report.write("pushpin", text, {"machine": report.machine(), "runs": runs})


if __name__ == "__main__":
    main()
