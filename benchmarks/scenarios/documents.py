"""`make bench-documents`: lists and searches of ten thousand and of a million documents, and work on single ones."""

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
SEARCH_MS = 50.0
FILL_MINUTES = 15.0
#: Measured, and without a goal: neither is a list, and their words are neither rare nor frequent.
WITHOUT_GOAL = frozenset({"search, word in one of 20", "search, phrase", "search, only without a word"})

_SIZE = "SELECT pg_database_size(current_database()) / 1048576"


def fill(target: database.Database, documents: int) -> float:
    """Create documents, and return the minutes that it took."""
    began = time.monotonic()
    processes.run("benchmarks.systems.documents.rows", documents, target=target)
    minutes = (time.monotonic() - began) / 60
    size = processes.query_number(target, _SIZE)
    report.say(f"{documents:,} documents, {size:,.0f} MiB, filled in {minutes:.1f} minutes")
    return minutes


def read(target: database.Database, documents: int, *, tries: int) -> list[dict[str, Any]]:
    """Return the median durations of all lists and searches."""
    printed = processes.run("benchmarks.systems.documents.reads", documents, tries, target=target)
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
    is_search = result["read"].startswith("search")
    met = ratio <= MAX_RATIO and (not is_search or large <= SEARCH_MS)
    goal = "" if result["read"] in WITHOUT_GOAL else "yes" if met else "**no**"
    return [result["read"], result["user"], f"{small:.1f}", f"{large:.1f}", f"{ratio:.2f}", goal]


def time_works(target: database.Database, *, tries: int) -> list[dict[str, Any]]:
    """Return the median durations of work on single documents."""
    measured: list[dict[str, Any]] = json.loads(
        processes.run("benchmarks.systems.documents.works", tries, target=target).splitlines()[-1]
    )
    return measured


def row_of_work(result: dict[str, Any]) -> list[str]:
    """Return a row of the table of work on single documents."""
    took, goal = result["p50_ms"], result["goal_ms"]
    return [result["work"], f"{took:.0f}", f"{goal:.0f}", "yes" if took <= goal else "**no**"]


def text_of(
    results: Sequence[dict[str, Any]], works: Sequence[dict[str, Any]], *, sizes: tuple[int, int], minutes: float
) -> str:
    """Return the tables with an explanation."""
    columns = ("read", "user", f"p50 ms, {sizes[0]:,}", f"p50 ms, {sizes[1]:,}", "ratio", "goal met")
    about = (
        f"Lists and searches over the API in one process, with {sizes[0]:,} and {sizes[1]:,} documents of 4 kB that "
        f"share 1,000 texts, 100 in each scope; pages of 10. `all` is staff, `few` sees one scope. "
        f"Goals: a ratio of at most {MAX_RATIO}, and for searches at most {SEARCH_MS:.0f} ms. "
        f"The documents were filled in {minutes:.1f} minutes (goal: {FILL_MINUTES:.0f})."
    )
    work_columns = ("work", "p50 ms", "goal ms", "goal met")
    parts = [about, report.table(columns, map(row_of, results)), report.table(work_columns, map(row_of_work, works))]
    return "\n\n".join(parts)


def main() -> int:
    """Fill both sizes, measure them in turns, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--tries", type=int, default=9, help="requests of each kind in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default="documents", help="name of the result files")
    options = parser.parse_args()
    sizes = (options.small, options.large)
    database.start()
    with ExitStack() as stack:
        targets = [stack.enter_context(database.fresh_database(f"documents_{size}", product=True)) for size in sizes]
        minutes = [fill(target, size) for target, size in zip(targets, sizes, strict=True)]
        database.checkpoint()
        runs = []
        for number in range(options.rounds):
            runs.append([read(target, size, tries=options.tries) for target, size in zip(targets, sizes, strict=True)])
            report.say(f"round {number + 1} of {options.rounds}")
        works = time_works(targets[0], tries=options.tries)
        text = text_of(compare(runs), works, sizes=sizes, minutes=minutes[1])
        values = {"machine": report.machine(), "runs": runs, "works": works, "minutes": minutes}
        report.write(options.name, text, values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
