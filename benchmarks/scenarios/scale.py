"""`make bench-scale`: sums and statistics of ten thousand and of a million calls."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

from benchmarks import database, processes, report

MAX_RATIO = 1.5
MAX_MS = 50.0


def fill(target: database.Database, calls: int) -> float:
    """Create calls and seal their blocks; return the minutes that it took."""
    began = time.monotonic()
    printed = processes.run("benchmarks.systems.calls.rows", calls, target=target)
    minutes = (time.monotonic() - began) / 60
    report.say(f"{calls:,} calls filled and sealed in {minutes:.1f} minutes; {printed.strip()}")
    return minutes


def read(target: database.Database, *, tries: int) -> list[dict[str, Any]]:
    """Return the median durations of all requests."""
    printed = processes.run("benchmarks.systems.calls.reads", tries, target=target)
    measured: list[dict[str, Any]] = json.loads(printed.splitlines()[-1])
    return measured


def compare(runs: Sequence[Sequence[Sequence[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Return the medians over the rounds, each of a small and a large measurement."""
    rows = []
    for number, first in enumerate(runs[0][0]):
        small, large = (median(run[size][number]["p50_ms"] for run in runs) for size in (0, 1))
        rows.append({**first, "small_ms": small, "large_ms": large, "ratio": large / small})
    return rows


def row_of(result: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    small, large, ratio = result["small_ms"], result["large_ms"], result["ratio"]
    goal = "yes" if ratio <= MAX_RATIO and large <= MAX_MS else "**no**"
    return [result["read"], result["user"], f"{small:.1f}", f"{large:.1f}", f"{ratio:.2f}", goal]


def text_of(results: Sequence[dict[str, Any]], *, sizes: tuple[int, int], minutes: float) -> str:
    """Return the table with an explanation."""
    columns = ("read", "user", f"p50 ms, {sizes[0]:,}", f"p50 ms, {sizes[1]:,}", "ratio", "goal met")
    about = (
        f"Requests over the API in one process, with {sizes[0]:,} and {sizes[1]:,} calls of a year, five for each "
        f"execution, in 50 workflows and 1,000 scopes, by 20 users with 5 models. `all` is staff, `few` sees one "
        f"scope. Goals: a ratio of at most {MAX_RATIO}, and at most {MAX_MS:.0f} ms. Filling and sealing the larger "
        f"database took {minutes:.1f} minutes."
    )
    return "\n\n".join([about, report.table(columns, map(row_of, results))])


def main() -> int:
    """Fill both sizes, measure them in turns, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--tries", type=int, default=9, help="requests of each kind in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default="scale", help="name of the result files")
    options = parser.parse_args()
    sizes = (options.small, options.large)
    database.start()
    with ExitStack() as stack:
        targets = [stack.enter_context(database.fresh_database(f"scale_{size}", product=True)) for size in sizes]
        minutes = [fill(target, size) for target, size in zip(targets, sizes, strict=True)]
        database.checkpoint()
        runs = []
        for number in range(options.rounds):
            runs.append([read(target, tries=options.tries) for target in targets])
            report.say(f"round {number + 1} of {options.rounds}")
        text = text_of(compare(runs), sizes=sizes, minutes=minutes[1])
        report.write(options.name, text, {"machine": report.machine(), "runs": runs, "minutes": minutes})
    return 0


if __name__ == "__main__":
    sys.exit(main())
