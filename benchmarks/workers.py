"""`make bench-workers`: what a second worker process adds."""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from typing import Any

from benchmarks import database, processes, report
from benchmarks.workload import Size

MOST_SECONDS = 300.0

_SECONDS = "SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM executions_execution"


def measure(size: Size, *, workers: int, model_seconds: float) -> dict[str, Any]:
    """Have so many workers run the executions, which were all accepted before."""
    with database.fresh("workers", ours=True) as place, ExitStack() as stack:
        processes.run("benchmarks.systems.create", *size.arguments(), place=place)
        settings = {"WORKER_CONCURRENCY": str(size.in_flight)}
        running = [
            stack.enter_context(processes.worker(place, model_seconds=model_seconds, **settings))
            for _ in range(workers)
        ]
        database.settle()
        before = [processes.cpu_of(each) for each in running]
        for each in running:
            processes.begin(each)
        processes.wait_until_done(place, seconds=MOST_SECONDS)
        cpu = [processes.cpu_of(each) - was for each, was in zip(running, before, strict=True)]
        return {
            "workers": workers,
            "executions": size.executions,
            "steps": size.steps,
            "model_seconds": model_seconds,
            "seconds": processes.ask(place, _SECONDS),
            "cpu_seconds_of_each": cpu,
        }


def compared(runs: list[dict[str, Any]]) -> str:
    """Return the table."""
    rows = []
    for model_seconds in dict.fromkeys(run["model_seconds"] for run in runs):
        alone = 0.0
        for workers in dict.fromkeys(run["workers"] for run in runs):
            mine = [run for run in runs if (run["model_seconds"], run["workers"]) == (model_seconds, workers)]
            speed = statistics.median(report.speed(run) for run in mine)
            alone = alone or speed
            least = statistics.median(min(run["cpu_seconds_of_each"]) for run in mine)
            cpu = statistics.median(sum(run["cpu_seconds_of_each"]) for run in mine)
            model = f"{model_seconds * 1000:.0f} ms" if model_seconds else "answers at once"
            rows.append((model, workers, f"{speed:,.0f}", f"{speed / alone:.2f}", f"{cpu:.1f}", f"{least:.1f}"))
    columns = ("model", "workers", "steps/s", "to one", "CPU s of all", "CPU s of the least busy")
    return report.table(columns, rows)


def main() -> int:
    """Measure one and two, in turns, and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--executions", type=int, default=400)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--model-seconds", default="0.05,0", help="how long a call takes, each a workload of its own")
    chosen = parser.parse_args()
    size = Size(executions=chosen.executions, steps=chosen.steps)
    database.start()
    runs = []
    for _ in range(chosen.rounds):
        for model_seconds in map(float, chosen.model_seconds.split(",")):
            for workers in (1, 2):
                runs.append(measure(size, workers=workers, model_seconds=model_seconds))
                report.say(f"{workers} workers, {model_seconds:g} s: {report.speed(runs[-1]):,.0f} steps/s")
    text = (
        f"{size.executions} executions × {size.steps} steps, all accepted before; each worker runs {size.in_flight} at "
        f"once; medians of {chosen.rounds} round(s). All workers and the database share the machine's cores.\n\n"
    )
    report.write("workers", text + compared(runs), {"machine": report.machine(), "runs": runs})
    return 0


if __name__ == "__main__":
    sys.exit(main())
