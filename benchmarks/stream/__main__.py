"""`make bench-stream`: what a live stream costs, beside others, in one run."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import database, report
from benchmarks.stream import fanout, latency, notifying, stalled, told
from benchmarks.stream.servers import Server, chosen
from benchmarks.workload import Size

MAIN = ("daphne", "uvicorn", "sse", "stock", "bare")
BESIDE = ("uvloop", "sse-uvloop", "stored")  # in the first round only: to know them, not to compare closely
TURN = 40  # executions, as `benchmarks.systems.announced` takes them; the first turn warms up
SPARE_FILES = 200  # of a process, beside its clients

Result = dict[str, Any]
Measurement = tuple[str, Callable[[], Result]]  # what it is called, and how it is taken


def clients(options: argparse.Namespace, number: int) -> Iterator[Measurement]:
    """One execution, a thousand clients."""
    for server in chosen((*MAIN, *BESIDE) if number == 1 else MAIN):
        if not options.servers or server.key in options.servers.split(","):
            yield _of(server, fanout.measure, clients=options.clients, events=options.events, per_second=8)


def many(options: argparse.Namespace, number: int) -> Iterator[Measurement]:
    """As many clients as a process may have, up to 5,000."""
    if number == 1:
        most = min(options.many, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_FILES)
        [server] = chosen(["daphne"])
        yield _of(server, fanout.measure, clients=most, events=10, per_second=1)


def from_commit(options: argparse.Namespace, _number: int) -> Iterator[Measurement]:
    """From the commit to the client."""
    for server in chosen(["daphne", "sse"]):
        yield _of(server, latency.measure, per_second=600, seconds=options.latency_seconds)


def deaf(options: argparse.Namespace, number: int) -> Iterator[Measurement]:
    """One client that does not read."""
    if number == 1:
        for server in chosen(["daphne", "uvicorn", "stock"]):
            yield _of(server, stalled.measure, megabytes=options.megabytes)


def notifier(options: argparse.Namespace, _number: int) -> Iterator[Measurement]:
    """The journal without announcements, and with them."""
    size = Size(executions=9 * TURN, steps=options.steps)
    for listeners in (0, 1, 8):
        yield f"{listeners} listen", partial(notifying.measure, size, listeners=listeners)


PIECES: dict[str, Callable[[argparse.Namespace, int], Iterator[Measurement]]] = {
    "clients": clients,
    "latency": from_commit,
    "notifier": notifier,
    "stalled": deaf,
    "many": many,
}


def _of(server: Server, measure: Callable[..., Result], **how: Any) -> Measurement:
    return server.key, lambda: {"server": server.key, "title": server.shown, **measure(server, **how)}


def main() -> int:
    """Measure, and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="pieces, with commas: " + ",".join(PIECES))
    parser.add_argument("--servers", default="", help="of `clients`, with commas: " + ",".join((*MAIN, *BESIDE)))
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--events", type=int, default=40, help="of `clients`, at 8 a second")
    parser.add_argument("--many", type=int, default=5000, help="clients of `many`")
    parser.add_argument("--latency-seconds", type=float, default=5.0)
    parser.add_argument("--megabytes", type=float, default=40.0, help="published beside a client that does not read")
    parser.add_argument("--steps", type=int, default=20, help="of an execution in `notifier`")
    parser.add_argument("--name", default="stream", help="name of the files of the results")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # every process here inherits it
    database.start()
    wanted = [piece for piece in PIECES if not options.only or piece in options.only.split(",")]
    runs: list[Result] = []
    for number in range(1, options.rounds + 1):
        for piece in wanted:
            for name, measure in PIECES[piece](options, number):
                began = time.monotonic()
                runs.append({"piece": piece, "round": number, **measure()})
                report.say(f"round {number}  {piece:8}  {name:10} {time.monotonic() - began:5.1f} s")
    report.write(options.name, told.compared(runs), {"machine": report.machine(), "runs": runs})
    if "clients" in wanted:
        report.draw(options.name, chart=Path(__file__).with_name("chart.py"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
