"""`make bench-inflight`: a thousand concurrent executions in one worker, with a slow model."""

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
from benchmarks.metrics import percentile
from benchmarks.workload import USER, WORKFLOW, Size

PAUSE_SECONDS = 0.05  # between requests of the prober
IDLE_REQUESTS = 400
MAX_SECONDS = 300.0

_LAST_END = "SELECT extract(epoch FROM max(finished_at)) FROM executions_execution"
_LAST_START = "SELECT extract(epoch FROM max(started_at)) FROM executions_execution"
_LONGEST = "SELECT extract(epoch FROM max(finished_at - started_at)) FROM executions_execution"


class Prober:
    """Requests executions over HTTP one after the other, and records the response times in seconds."""

    def __init__(self, client: httpx.Client, ids: list[str]) -> None:
        self._client = client
        self._ids = ids
        self.durations: list[float] = []

    def request(self) -> None:
        """Request one execution, and pause."""
        identity = self._ids[len(self.durations) % len(self._ids)]
        began = time.perf_counter()
        assert self._client.get(f"/executions/{identity}").status_code == 200
        self.durations.append(time.perf_counter() - began)
        time.sleep(PAUSE_SECONDS)

    def p99_ms(self) -> float:
        """Return the 99th percentile, and reset the records."""
        result, self.durations = percentile(self.durations, 99) * 1000, []
        return result


def measure(size: Size, *, model_seconds: float, over_http: bool) -> dict[str, Any]:
    """Run one measurement."""
    with (
        database.fresh_database("inflight", product=True) as target,
        _worker(target, size, model_seconds, over_http) as worker,
    ):
        with processes.web(target, user=USER) as client:
            prober = Prober(client, _start(target, size, client, over_http=over_http))
            for _ in range(IDLE_REQUESTS):
                prober.request()
            idle = prober.p99_ms()
            database.checkpoint()
            began, cpu = time.time(), processes.cpu_of(worker)
            processes.begin_work(worker)
            processes.wait_until_done(target, seconds=MAX_SECONDS, meanwhile=prober.request)
            busy = prober.p99_ms()
        return {
            "executions": size.executions,
            "steps": size.steps,
            "over_http": over_http,
            "critical_path_seconds": size.steps * model_seconds,
            "seconds": processes.query_number(target, _LAST_END) - began,
            "all_taken_seconds": processes.query_number(target, _LAST_START) - began,
            "longest_seconds": processes.query_number(target, _LONGEST),
            "worker_peak_mib": processes.memory_mib(worker),
            "worker_cpu_seconds": processes.cpu_of(worker) - cpu,
            "get_p99_idle_ms": idle,
            "get_p99_busy_ms": busy,
        }


def _start(target: Database, size: Size, client: httpx.Client, *, over_http: bool) -> list[str]:
    """Create the executions; return their ids."""
    if not over_http:
        processes.run("benchmarks.systems.create", *size.arguments(), target=target)
        return [row["execution_id"] for row in client.get("/executions/", params={"limit": 200}).json()["data"]]
    processes.run("benchmarks.systems.publish", size.steps, "openai:gpt-5", target=target)
    ids = []
    for number in range(size.executions):
        body = {"workflow_id": WORKFLOW, "scope_type": "project", "scope_id": f"p{number}", "input": f"MARK-{number}"}
        answer = client.post("/executions/", json=body)
        assert answer.status_code == 201, answer.text
        ids.append(str(answer.json()["execution_id"]))
    return ids


@contextmanager
def _worker(target: Database, size: Size, model_seconds: float, over_http: bool) -> Iterator[Popen[str]]:  # noqa: PLR0917
    """Provide a worker that waits for its start: with a model in its process, or with a provider over HTTP."""
    limits = {"WORKER_CONCURRENCY": str(size.executions), "MODEL_CALLS": str(size.executions)}
    if not over_http:
        with processes.worker(target, model_seconds=model_seconds, **limits) as process:
            yield process
        return
    with processes.running("-m", "benchmarks.model_server", str(model_seconds), target=target) as server:
        provider = {"OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": f"{processes.read_line(server)}/v1"}
        with processes.running("-m", "benchmarks.systems.real_worker", target=target, **limits, **provider) as process:
            assert processes.read_line(process) == "ready"
            yield process


def row_of(result: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    path, seconds = result["critical_path_seconds"], result["seconds"]
    idle, busy = result["get_p99_idle_ms"], result["get_p99_busy_ms"]
    model = "over HTTP, with a provider's client" if result["over_http"] else "in the worker's process"
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
    """Measure both variants, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1000)
    parser.add_argument("--over-http", type=int, default=200, help="executions of the variant over HTTP")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--model-seconds", type=float, default=5.0)
    options = parser.parse_args()
    database.start()
    results = []
    for executions, over_http in ((options.executions, False), (options.over_http, True)):
        if executions:
            size = Size(executions=executions, steps=options.steps, in_flight=executions)
            results.append(measure(size, model_seconds=options.model_seconds, over_http=over_http))
            report.say(" | ".join(row_of(results[-1])))
    columns = ("executions, model", "seconds / critical path", "until the last claim, s", "longest execution, s",
               "worker's peak MiB", "worker's CPU s",
               "p99 of GET /executions/{id}, ms: busy / idle")  # fmt: skip
    text = (
        f"All executions run concurrently in one worker; each model call takes {options.model_seconds:g} s. The web "
        "server is a process of its own and is asked for one execution after the other, with "
        f"{PAUSE_SECONDS * 1000:.0f} ms between. Targets: 1.2 times the critical path, 400 MiB, 5 times the idle "
        "p99.\n\n"
    )
    report.write(
        "inflight", text + report.table(columns, map(row_of, results)), {"machine": report.machine(), "runs": results}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
