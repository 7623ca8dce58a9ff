"""500 clients of one feed, straight from the web process and through Pushpin: python -m benchmarks.pushpin.

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
from benchmarks.meter import percentile
from tests.e2e.processes import Machine, machine
from tests.e2e.streams.chaos_clients import Body
from tests.e2e.streams.pushpin import family, pushpin
from tests.e2e.streams.stream_chaos import storyteller, tell

PATH = "/api/v1/scopes/project/p/stream"
DEADLINE_SECONDS = 60.0
AT_ONCE = 20  # clients that connect
_TICKS = os.sysconf("SC_CLK_TCK")
_VIEWERS = """
import json
from access.models import Role, Scope, ScopeRole
from access.services import ensure_user, issue_token
scope = Scope.objects.get(type='project', key='p')
users = [ensure_user(name=f'viewer{{n}}') for n in range({users})]
ScopeRole.objects.bulk_create([ScopeRole(scope=scope, user=user, role=Role.VIEWER) for user in users])
print('tokens', json.dumps([issue_token(user)[1] for user in users]))
"""


class Client:
    """Follows the feed, and notes how long after it was written each event came."""

    def __init__(self, port: int, token: str) -> None:
        self.delays: list[float] = []
        self.numbers: list[int] = []
        self.ready = asyncio.Event()
        self._port = port
        self._token = token

    async def follow(self, until: int) -> None:
        """Read up to an event."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")
        body = Body()
        while not self.numbers or self.numbers[-1] < until:
            if not (data := await reader.read(2**16)):
                raise EOFError("the line was cut")
            now = datetime.now(UTC)
            for message in body.feed(data):
                self._take(message, now)
        writer.close()

    def _take(self, message: bytes, now: datetime) -> None:
        self.ready.set()
        lines = dict(line.split(b": ", 1) for line in message.splitlines() if line and not line.startswith(b":"))
        if b"data" in lines:
            self.numbers.append(int(lines[b"id"]))
            written = datetime.fromisoformat(json.loads(lines[b"data"])["timestamp"])
            self.delays.append((now - written).total_seconds())


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the time that processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS


async def crowd(clients: list[Client], *, until: int, begin: Callable[[], None]) -> None:
    """Have all follow, begin, and return once each has all."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        following = []
        for at_once in range(0, len(clients), AT_ONCE):
            some = clients[at_once : at_once + AT_ONCE]
            following += [asyncio.create_task(client.follow(until)) for client in some]
            for client in some:
                await client.ready.wait()
        begin()
        await asyncio.gather(*following)


def measure(here: Machine, options: argparse.Namespace, *, rate: int, through: bool) -> dict[str, float]:
    """Return the CPU seconds of each part while events come, and their delays in milliseconds."""
    until = rate * options.seconds
    with ExitStack() as stack:
        proxy = stack.enter_context(pushpin(here)) if through else None
        parts = {"web": family(here.serve("--no-worker").pid)}
        if proxy is not None:
            parts |= {"relay": family(here.start("relay").pid), "pushpin": proxy.pids}
        teller, _ = stack.enter_context(
            storyteller(here, executions=1, events=until, per_second=rate, sizes=[options.characters])
        )
        said = here.manage("shell", "-c", _VIEWERS.format(users=options.users))
        tokens = json.loads(said.rpartition("tokens ")[2]) * (options.clients // options.users)
        clients = [Client(proxy.port if proxy else here.port, token) for token in tokens]
        before: dict[str, float] = {}

        def begin() -> None:
            before.update({part: cpu_seconds(pids) for part, pids in parts.items()})
            tell(teller)

        asyncio.run(crowd(clients, until=until, begin=begin))
        used = {part: cpu_seconds(pids) - before[part] for part, pids in parts.items()}
    if any(client.numbers != list(range(1, until + 1)) for client in clients):
        raise AssertionError("a client did not get each event once")
    delays = [delay * 1000 for client in clients for delay in client.delays]
    quantiles = {f"p{each}_ms": percentile(delays, each) for each in (50, 99)}
    return {"through": through, "rate": rate, "deliveries": len(delays), **used, **quantiles}


def told(run: dict[str, float]) -> list[str]:
    """Return a row of the table."""
    cost = [
        f"{run[part] / run['deliveries'] * 1e6:.1f}" if part in run else "–" for part in ("web", "relay", "pushpin")
    ]
    way = "through Pushpin" if run["through"] else "directly"
    return [way, str(run["rate"]), *cost, f"{run['p50_ms']:.0f}", f"{run['p99_ms']:.0f}"]


def main() -> None:
    """Measure both at each rate, and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("clients", 500), ("users", 100), ("seconds", 20), ("characters", 250)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rates", type=int, nargs="+", default=[5, 50], help="events a second")
    options = parser.parse_args()
    database.start()
    runs = []
    for rate in options.rates:
        for through in (False, True):
            with tempfile.TemporaryDirectory() as place, machine(Path(place) / "data", POSTGRES_FSYNC="1") as here:
                runs.append(measure(here, options, rate=rate, through=through))
            report.say(" | ".join(told(runs[-1])))
    columns = ["", "events/s", *(f"{part}, µs" for part in ("web", "relay", "Pushpin")), "p50, ms", "p99, ms"]
    text = (
        f"{options.clients} clients of {options.users} users follow one feed for {options.seconds} s. CPU is that of "
        "the processes, per event and client; the delay is from the event's time to the client.\n\n"
        f"{report.table(columns, map(told, runs))}"
    )
    report.write("pushpin", text, {"machine": report.machine(), "runs": runs})


if __name__ == "__main__":
    main()
