"""`make bench-api`: reads of one web process, and of a plain Starlette view that sends the same statements."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks import database, processes, report
from benchmarks.environments import DATA_DIR, python_of
from benchmarks.workload import USER, Size
from tests.e2e.processes import free_port

GOAL = 0.5
SIZE = Size(executions=100, steps=5)


@contextmanager
def plain(target: database.Database, statements: Path) -> Iterator[int]:
    """Provide the port of the plain view."""
    port = free_port()
    arguments = ("-m", "benchmarks.peers.plain_api", str(port), str(statements))
    with processes.running(*arguments, target=target, python=python_of("plain-api")) as process:
        while True:
            assert process.poll() is None, "the plain view did not start"
            try:
                httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
                break
            except httpx.TransportError:
                time.sleep(processes.POLL_SECONDS)
        yield port


def load(port: int, paths: Sequence[str], *, token: str, seconds: float, clients: int) -> dict[str, Any]:
    """Return requests per second and times of a server."""
    command = [sys.executable, "-m", "benchmarks.load", str(port), str(seconds), str(clients)]
    given = json.dumps({"token": token, "paths": paths})
    done = subprocess.run(command, input=given, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def text_of(runs: Sequence[dict[str, Any]], *, clients: int) -> str:
    """Return the table with an explanation."""
    about = (
        f"Requests a second of one web process (`manage.py serve --no-worker`) and of a Starlette view on uvicorn that "
        f"sends the same statements and answers with their rows; {clients} clients, {SIZE.executions} executions of "
        f"{SIZE.steps} steps. The goal is {GOAL} times as many as the plain view."
    )
    rows = []
    for name in dict.fromkeys(run["request"] for run in runs):
        ours, other = (
            {key: median(run[key] for run in runs if (run["request"], run["server"]) == (name, server)) for key in run}
            for server in ("ours", "plain")
            for run in [{"requests_s": 0, "p50_ms": 0}]
        )
        ratio = ours["requests_s"] / other["requests_s"]
        numbers = [f"{each['requests_s']:.0f}" for each in (ours, other)]
        times = [f"{each['p50_ms']:.1f}" for each in (ours, other)]
        rows.append([name, *numbers, f"{ratio:.2f}", *times, "yes" if ratio >= GOAL else "**no**"])
    columns = ("request", "ours", "plain", "ratio", "p50 ms, ours", "p50 ms, plain", "goal met")
    return "\n\n".join([about, report.table(columns, rows)])


def main() -> int:
    """Measure in turns, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--name", default="api", help="name of the result files")
    options = parser.parse_args()
    database.start()
    runs = []
    with database.fresh_database("api", product=True) as target:
        processes.run("benchmarks.systems.scriptorium", "direct", *SIZE.arguments(), target=target)
        with processes.web(target, user=USER) as web:
            token = web.headers["Authorization"].removeprefix("Bearer ")
            found = json.loads(processes.run("benchmarks.systems.api.statements", token, target=target))
            file = DATA_DIR / "statements.json"
            file.write_text(json.dumps(found))
            with plain(target, file) as port:
                servers = {"ours": web.base_url.port, "plain": port}
                for number in range(options.rounds):
                    for name, request in found["requests"].items():
                        paths = [request["path"].replace(found["ids"][0], each) for each in found["ids"]]
                        for server, at in servers.items():
                            assert at is not None
                            result = load(at, paths, token=token, seconds=options.seconds, clients=options.clients)
                            runs.append({"request": name, "server": server, **result})
                            report.say(f"round {number + 1}  {name:30} {server:6} {result['requests_s']:6.0f} a second")
    report.write(options.name, text_of(runs, clients=options.clients), {"machine": report.machine(), "runs": runs})
    return 0


if __name__ == "__main__":
    sys.exit(main())
