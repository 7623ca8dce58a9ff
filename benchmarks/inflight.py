"""`make bench-inflight`: a thousand executions at once, in one worker, at a model that takes its time."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

import httpx

from benchmarks import database, processes, report
from benchmarks.database import Database
from benchmarks.meter import percentile
from benchmarks.workload import USER, WORKFLOW, Size

PAUSE_SECONDS = 0.05  # between two looks of the one who watches
IDLE_LOOKS = 400
MOST_SECONDS = 300.0

_LAST_END = "SELECT extract(epoch FROM max(finished_at)) FROM executions_execution"
_LAST_START = "SELECT extract(epoch FROM max(started_at)) FROM executions_execution"
_LONGEST = "SELECT extract(epoch FROM max(finished_at - started_at)) FROM executions_execution"


class Watcher:
    """Looks at executions over HTTP, one after the other, and notes how long each answer took (seconds)."""

    def __init__(self, client: httpx.Client, ids: list[str]) -> None:
        self._client = client
        self._ids = ids
        self.took: list[float] = []

    def look(self) -> None:
        """Ask for one of them, and pause."""
        identity = self._ids[len(self.took) % len(self._ids)]
        began = time.perf_counter()
        assert self._client.get(f"/executions/{identity}").status_code == 200
        self.took.append(time.perf_counter() - began)
        time.sleep(PAUSE_SECONDS)

    def p99_ms(self) -> float:
        """Return the 99th percentile so far, and forget."""
        found, self.took = percentile(self.took, 99) * 1000, []
        return found


def measure(size: Size, *, model_seconds: float, over_http: bool) -> dict[str, Any]:
    """Run it once."""
    with database.fresh("inflight", ours=True) as place, _worker(place, size, model_seconds, over_http) as worker:
        with processes.web(place, user=USER) as client:
            watcher = Watcher(client, _start(place, size, client, over_http=over_http))
            for _ in range(IDLE_LOOKS):
                watcher.look()
            idle = watcher.p99_ms()
            database.settle()
            began, cpu = time.time(), processes.cpu_of(worker)
            processes.begin(worker)
            processes.wait_until_done(place, seconds=MOST_SECONDS, meanwhile=watcher.look)
            busy = watcher.p99_ms()
        return {
            "executions": size.executions,
            "steps": size.steps,
            "over_http": over_http,
            "critical_path_seconds": size.steps * model_seconds,
            "seconds": processes.ask(place, _LAST_END) - began,
            "all_taken_seconds": processes.ask(place, _LAST_START) - began,
            "longest_seconds": processes.ask(place, _LONGEST),
            "worker_peak_mib": processes.memory_mib(worker),
            "worker_cpu_seconds": processes.cpu_of(worker) - cpu,
            "get_p99_idle_ms": idle,
            "get_p99_busy_ms": busy,
        }


def _start(place: Database, size: Size, client: httpx.Client, *, over_http: bool) -> list[str]:
    """Accept the executions; return their ids."""
    if not over_http:
        processes.run("benchmarks.systems.create", *size.arguments(), place=place)
        return [row["execution_id"] for row in client.get("/executions/", params={"limit": 200}).json()["data"]]
    processes.run("benchmarks.systems.publish", size.steps, "openai:gpt-5", place=place)
    ids = []
    for number in range(size.executions):
        body = {"workflow_id": WORKFLOW, "scope_type": "project", "scope_id": f"p{number}", "input": f"MARK-{number}"}
        answer = client.post("/executions/", json=body)
        assert answer.status_code == 201, answer.text
        ids.append(str(answer.json()["execution_id"]))
    return ids


@contextmanager
def _worker(place: Database, size: Size, model_seconds: float, over_http: bool) -> Iterator[Popen[str]]:  # noqa: PLR0917
    """Provide the one worker, not begun: its model is in its own process, or asked over HTTP by a real provider."""
    at_once = {"WORKER_CONCURRENCY": str(size.executions), "MODEL_CALLS": str(size.executions)}
    if not over_http:
        with processes.worker(place, model_seconds=model_seconds, **at_once) as process:
            yield process
        return
    with processes.running("-m", "benchmarks.model_server", str(model_seconds), place=place) as server:
        provider = {"OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": f"{processes.line_of(server)}/v1"}
        with processes.running("-m", "benchmarks.systems.real_worker", place=place, **at_once, **provider) as process:
            assert processes.line_of(process) == "ready"
            yield process


def told(result: dict[str, Any]) -> list[str]:
    """Return the rows of the table."""
    path, seconds = result["critical_path_seconds"], result["seconds"]
    idle, busy = result["get_p99_idle_ms"], result["get_p99_busy_ms"]
    model = "over HTTP, a real provider's client" if result["over_http"] else "in the worker's process"
    return [
        f"{result['executions']:,} × {result['steps']}, {model}",
        f"{seconds:.1f} / {path:.0f} = {seconds / path:.2f}",
        f"{result['all_taken_seconds']:.1f}",
        f"{result['longest_seconds']:.1f}",
        f"{result['worker_peak_mib']:.0f}",
        f"{result['worker_cpu_seconds']:.1f}",
        f"{busy:.0f} / {idle:.0f} = {busy / idle:.1f}",
    ]


def main() -> int:
    """Measure both forms, and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1000)
    parser.add_argument("--over-http", type=int, default=200, help="executions of the form over HTTP")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--model-seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    database.start()
    results = []
    for executions, over_http in ((chosen.executions, False), (chosen.over_http, True)):
        if executions:
            size = Size(executions=executions, steps=chosen.steps, in_flight=executions)
            results.append(measure(size, model_seconds=chosen.model_seconds, over_http=over_http))
            report.say(" | ".join(told(results[-1])))
    columns = ("executions, model", "seconds / critical path", "until the last was taken, s", "longest execution, s",
               "worker's peak MiB", "worker's CPU s",
               "p99 of GET /executions/{id}, ms: busy / idle")  # fmt: skip
    text = (
        f"All executions in flight at once in one worker; each model call takes {chosen.model_seconds:g} s. The web "
        "server is a process of its own and is asked for one execution after the other, with "
        f"{PAUSE_SECONDS * 1000:.0f} ms between. Targets: 1.2 times the critical path, 400 MiB, 5 times the idle "
        "p99.\n\n"
    )
    report.write(
        "inflight", text + report.table(columns, map(told, results)), {"machine": report.machine(), "runs": results}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
