"""`make bench-waiting`: effect of a hundred thousand waiting executions on a running one."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

from benchmarks import database, processes, report
from benchmarks.metrics import percentile

IDLE_SECONDS = 25.0  # covers two runs of recovery, a dozen heartbeats and two dozen polls

_COUNT = "SELECT count(*) FROM {}"
_SIZE = "SELECT pg_database_size(current_database())"
_TABLES = ("executions_execution", "executions_executionstep", "executions_executionevent", "telemetry_modelcall")


def measure(waiting: int, *, tries: int, steps: int) -> dict[str, Any]:
    """Run new executions one after the other, with a number of waiting executions in the tables."""
    with database.fresh_database("waiting", product=True) as target:
        if waiting:
            processes.run("benchmarks.systems.waiting", waiting, steps, 1, target=target)
        database.checkpoint()
        rows = {table: int(processes.query_number(target, _COUNT.format(table))) for table in _TABLES}
        megabytes = processes.query_number(target, _SIZE) / 1024 / 1024
        with processes.worker(target, model_seconds=0.0) as worker:
            processes.begin_work(worker)
            cpu = processes.cpu_of(worker)
            time.sleep(IDLE_SECONDS)
            idle_cpu = (processes.cpu_of(worker) - cpu) / IDLE_SECONDS
            idle = processes.memory_mib(worker, "VmRSS")
            printed = processes.run("benchmarks.systems.sequential", tries, steps, 1, target=target)
            durations = json.loads(printed.splitlines()[-1])
            return {
                "waiting": waiting,
                "rows": rows,
                "database_mib": megabytes,
                "worker_idle_mib": idle,
                "worker_idle_cpu_percent": idle_cpu * 100,
                "worker_peak_mib": processes.memory_mib(worker),
                "took": durations,
                "p50_ms": statistics.median(durations) * 1000,
                "p99_ms": percentile(durations, 99) * 1000,
            }


def row_of(result: dict[str, Any]) -> list[str]:
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
    """Measure with and without waiting executions, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--tries", type=int, default=100, help="number of new executions")
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    database.start()
    results = []
    for waiting in (0, options.waiting):
        results.append(measure(waiting, tries=options.tries, steps=options.steps))
        report.say(" | ".join(row_of(results[-1])))
    without, with_waiting = results
    columns = ("waiting executions", "rows in the tables", "database MiB", "worker's MiB: idle / peak",
               "worker's CPU while idle, %", "a new execution, ms: p50 / p99")  # fmt: skip
    duration, memory = (with_waiting[key] / without[key] for key in ("p50_ms", "worker_peak_mib"))
    ratios = (
        f"With {options.waiting:,} waiting executions, a new execution takes {duration:.2f} times as long from its "
        f"start to its end (median of {options.tries}, {options.steps} steps, a model that replies immediately), and "
        f"the worker's peak memory is {memory:.2f} times as large. Target: at most 1.2."
    )
    text = f"{report.table(columns, map(row_of, results))}\n\n{ratios}"
    report.write("waiting", text, {"machine": report.machine(), "runs": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
