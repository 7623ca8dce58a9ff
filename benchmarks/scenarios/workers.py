"""`make bench-workers`: speedup by a second worker process."""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from typing import Any

from benchmarks import database, processes, report
from benchmarks.workload import Size

MAX_SECONDS = 300.0

_SECONDS = "SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM executions_execution"


def measure(size: Size, *, workers: int, model_seconds: float) -> dict[str, Any]:
    """Run previously created executions with a number of workers."""
    with database.fresh_database("workers", product=True) as target, ExitStack() as stack:
        processes.run("benchmarks.systems.create", *size.arguments(), target=target)
        settings = {"WORKER_CONCURRENCY": str(size.in_flight)}
        running = [
            stack.enter_context(processes.worker(target, model_seconds=model_seconds, **settings))
            for _ in range(workers)
        ]
        database.checkpoint()
        before = [processes.cpu_of(each) for each in running]
        for each in running:
            processes.begin_work(each)
        processes.wait_until_done(target, seconds=MAX_SECONDS)
        cpu = [processes.cpu_of(each) - was for each, was in zip(running, before, strict=True)]
        return {
            "workers": workers,
            "executions": size.executions,
            "steps": size.steps,
            "model_seconds": model_seconds,
            "seconds": processes.query_number(target, _SECONDS),
            "cpu_seconds_of_each": cpu,
        }


def comparison(runs: list[dict[str, Any]]) -> str:
    """Return the table."""
    rows = []
    for model_seconds in dict.fromkeys(run["model_seconds"] for run in runs):
        baseline = 0.0
        for workers in dict.fromkeys(run["workers"] for run in runs):
            selected = [run for run in runs if (run["model_seconds"], run["workers"]) == (model_seconds, workers)]
            speed = statistics.median(report.speed(run) for run in selected)
            baseline = baseline or speed
            least = statistics.median(min(run["cpu_seconds_of_each"]) for run in selected)
            cpu = statistics.median(sum(run["cpu_seconds_of_each"]) for run in selected)
            model = f"{model_seconds * 1000:.0f} ms" if model_seconds else "immediate"
            rows.append((model, workers, f"{speed:,.0f}", f"{speed / baseline:.2f}", f"{cpu:.1f}", f"{least:.1f}"))
    columns = ("model", "workers", "steps/s", "speedup", "CPU s of all", "CPU s of the least busy worker")
    return report.table(columns, rows)


def main() -> int:
    """Measure one and two workers alternately, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--executions", type=int, default=400)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--model-seconds", default="0.05,0", help="durations of a call; each is a separate workload")
    options = parser.parse_args()
    size = Size(executions=options.executions, steps=options.steps)
    database.start()
    runs = []
    for _ in range(options.rounds):
        for model_seconds in map(float, options.model_seconds.split(",")):
            for workers in (1, 2):
                runs.append(measure(size, workers=workers, model_seconds=model_seconds))
                report.say(f"{workers} workers, {model_seconds:g} s: {report.speed(runs[-1]):,.0f} steps/s")
    text = (
        f"{size.executions} executions × {size.steps} steps, created before; each worker runs {size.in_flight} "
        f"concurrently; medians of {options.rounds} round(s). All workers and the database share the cores.\n\n"
    )
    report.write("workers", text + comparison(runs), {"machine": report.machine(), "runs": runs})
    return 0


if __name__ == "__main__":
    sys.exit(main())
