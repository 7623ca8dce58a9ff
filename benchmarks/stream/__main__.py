"""`make bench-stream`: compare the costs of live streams in one run."""

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
from benchmarks.stream import fanout, latency, notifications, stalled
from benchmarks.stream import report as stream_report
from benchmarks.stream.servers import Server, servers_of
from benchmarks.workload import Size

COMPARED = ("daphne", "uvicorn", "sse", "stock", "bare")
EXTRA = ("uvloop", "sse-uvloop", "stored")  # only in the first round
BATCH = 40  # executions; see `benchmarks.systems.events.notifier_cost`, whose first batch is a warm-up
SPARE_FILES = 200  # file descriptors of a process that are not clients

Result = dict[str, Any]
Measurement = tuple[str, Callable[[], Result]]  # name and function


def clients(options: argparse.Namespace, number: int) -> Iterator[Measurement]:
    """Many clients of one execution."""
    for server in servers_of((*COMPARED, *EXTRA) if number == 1 else COMPARED):
        if not options.servers or server.key in options.servers.split(","):
            yield _measurement(server, fanout.measure, clients=options.clients, events=options.events, per_second=8)


def many(options: argparse.Namespace, number: int) -> Iterator[Measurement]:
    """As many clients as the limit of open files allows, up to 5,000."""
    if number == 1:
        count = min(options.many, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_FILES)
        [server] = servers_of(["daphne"])
        yield _measurement(server, fanout.measure, clients=count, events=10, per_second=1)


def from_commit(options: argparse.Namespace, _number: int) -> Iterator[Measurement]:
    """Latency from the commit to the client."""
    for server in servers_of(["daphne", "sse"]):
        yield _measurement(server, latency.measure, per_second=600, seconds=options.latency_seconds)


def stalled_client(options: argparse.Namespace, number: int) -> Iterator[Measurement]:
    """A client that does not read."""
    if number == 1:
        for server in servers_of(["daphne", "uvicorn", "stock"]):
            yield _measurement(server, stalled.measure, megabytes=options.megabytes)


def notifier(options: argparse.Namespace, _number: int) -> Iterator[Measurement]:
    """The journal with and without notifications."""
    size = Size(executions=9 * BATCH, steps=options.steps)
    for listeners in (0, 1, 8):
        yield f"{listeners} listen", partial(notifications.measure, size, listeners=listeners)


PIECES: dict[str, Callable[[argparse.Namespace, int], Iterator[Measurement]]] = {
    "clients": clients,
    "latency": from_commit,
    "notifier": notifier,
    "stalled": stalled_client,
    "many": many,
}


def _measurement(server: Server, measure: Callable[..., Result], **arguments: Any) -> Measurement:
    return server.key, lambda: {"server": server.key, "title": server.shown, **measure(server, **arguments)}


def main() -> int:
    """Run the measurements, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="parts, separated by commas: " + ",".join(PIECES))
    parser.add_argument(
        "--servers", default="", help="servers of `clients`, separated by commas: " + ",".join((*COMPARED, *EXTRA))
    )
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--events", type=int, default=40, help="events of `clients`, at 8 per second")
    parser.add_argument("--many", type=int, default=5000, help="clients of `many`")
    parser.add_argument("--latency-seconds", type=float, default=5.0)
    parser.add_argument("--megabytes", type=float, default=40.0, help="published data of `stalled`")
    parser.add_argument("--steps", type=int, default=20, help="steps per execution of `notifier`")
    parser.add_argument("--name", default="stream", help="name of the result files")
    options = parser.parse_args()
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))  # inherited by all processes
    database.start()
    wanted = [piece for piece in PIECES if not options.only or piece in options.only.split(",")]
    runs: list[Result] = []
    for number in range(1, options.rounds + 1):
        for piece in wanted:
            for name, measure in PIECES[piece](options, number):
                began = time.monotonic()
                runs.append({"piece": piece, "round": number, **measure()})
                report.say(f"round {number}  {piece:8}  {name:10} {time.monotonic() - began:5.1f} s")
    report.write(options.name, stream_report.comparison(runs), {"machine": report.machine(), "runs": runs})
    if "clients" in wanted:
        report.draw(options.name, chart=Path(__file__).with_name("chart.py"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
