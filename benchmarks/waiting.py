"""`make bench-waiting`: a hundred thousand executions that wait, and what they cost one that runs."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

from benchmarks import database, processes, report
from benchmarks.meter import percentile

IDLE_SECONDS = 25.0  # long enough for two sweeps, a dozen beats and two dozen wakes

_COUNT = "SELECT count(*) FROM {}"
_SIZE = "SELECT pg_database_size(current_database())"
_TABLES = ("executions_execution", "executions_executionstep", "executions_executionevent", "telemetry_modelcall")


def measure(waiting: int, *, tries: int, steps: int) -> dict[str, Any]:
    """Have a worker run new executions, one after the other, beside so many that wait."""
    with database.fresh("waiting", ours=True) as place:
        if waiting:
            processes.run("benchmarks.systems.waiting", waiting, steps, 1, place=place)
        database.settle()
        rows = {table: int(processes.ask(place, _COUNT.format(table))) for table in _TABLES}
        megabytes = processes.ask(place, _SIZE) / 1024 / 1024
        with processes.worker(place, model_seconds=0.0) as worker:
            processes.begin(worker)
            cpu = processes.cpu_of(worker)
            time.sleep(IDLE_SECONDS)
            idle_cpu = (processes.cpu_of(worker) - cpu) / IDLE_SECONDS
            idle = processes.memory_mib(worker, "VmRSS")
            printed = processes.run("benchmarks.systems.one_by_one", tries, steps, 1, place=place)
            took = json.loads(printed.splitlines()[-1])
            return {
                "waiting": waiting,
                "rows": rows,
                "database_mib": megabytes,
                "worker_idle_mib": idle,
                "worker_idle_cpu_percent": idle_cpu * 100,
                "worker_peak_mib": processes.memory_mib(worker),
                "took": took,
                "p50_ms": statistics.median(took) * 1000,
                "p99_ms": percentile(took, 99) * 1000,
            }


def told(result: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    return [
        f"{result['waiting']:,}",
        f"{sum(result['rows'].values()):,}",
        f"{result['database_mib']:.0f}",
        f"{result['worker_idle_mib']:.1f} / {result['worker_peak_mib']:.1f}",
        f"{result['worker_idle_cpu_percent']:.1f}",
        f"{result['p50_ms']:.0f} / {result['p99_ms']:.0f}",
    ]


def main() -> int:
    """Measure without and with them, and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--tries", type=int, default=100, help="new executions, one after the other")
    parser.add_argument("--steps", type=int, default=5)
    chosen = parser.parse_args()
    database.start()
    results = []
    for waiting in (0, chosen.waiting):
        results.append(measure(waiting, tries=chosen.tries, steps=chosen.steps))
        report.say(" | ".join(told(results[-1])))
    without, beside = results
    columns = ("executions that wait", "rows in the tables", "database MiB", "worker's MiB: idle / peak",
               "worker's CPU while idle, %", "a new execution, ms: p50 / p99")  # fmt: skip
    ratios = (
        f"Beside {chosen.waiting:,} that wait, a new execution takes {beside['p50_ms'] / without['p50_ms']:.2f} times "
        f"as long from its start to its end (median of {chosen.tries}, {chosen.steps} steps, a model that answers at "
        "once), "
        f"and the worker's peak memory is {beside['worker_peak_mib'] / without['worker_peak_mib']:.2f} times as much. "
        "Target: 1.2 at most."
    )
    text = f"{report.table(columns, map(told, results))}\n\n{ratios}"
    report.write("waiting", text, {"machine": report.machine(), "runs": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
