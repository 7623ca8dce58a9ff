"""`make bench`: compare the product, its peers and plain PostgreSQL in one run."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks import database, report
from benchmarks.runs import SYSTEMS, measure
from benchmarks.workload import Size


def main() -> int:
    """Run the measurements, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", default="", help="keys of systems, separated by commas: " + ",".join(s.key for s in SYSTEMS)
    )
    parser.add_argument("--executions", type=int, default=200, help="a multiple of 20")
    parser.add_argument("--steps", default="5,25", help="steps per execution; each number is a separate workload")
    parser.add_argument("--name", default="peers", help="name of the result files")
    options = parser.parse_args()
    systems = [system for system in SYSTEMS if not options.only or system.key in options.only.split(",")]
    for system in systems:
        if not system.is_runnable:
            report.say(f"{system.key} is left out: this machine has no {system.program}")
    systems = [system for system in systems if system.is_runnable]
    sizes = [Size(executions=options.executions, steps=int(steps)) for steps in options.steps.split(",")]
    report.say(f"measuring {len(systems)} systems, {len(sizes)} workloads, {options.rounds} rounds")
    database.start()
    runs: list[dict[str, Any]] = []
    for number in range(options.rounds):
        for size in sizes:
            for system in systems:
                result = measure(system, size)
                run = {"round": number + 1, "system": system.key, "title": system.shown}
                runs.append({**run, "executions": size.executions, "steps": size.steps, **result})
                report.say(f"round {number + 1}  {size!s:9}  {system.key:10} {report.speed(runs[-1]):8.0f} steps/s")
    report.write(
        options.name, report.comparison(runs, rounds=options.rounds), {"machine": report.machine(), "runs": runs}
    )
    report.draw(options.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
