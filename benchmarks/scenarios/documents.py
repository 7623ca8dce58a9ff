"""`make bench-documents`: lists and searches of ten thousand and of a million documents, and work on single ones."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import database, processes, report, sizes

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


def row_of(result: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    small, large, ratio = result["ms"][0], result["ms"][-1], result["ratio"]
    is_search = result["read"].startswith("search")
    met = ratio <= MAX_RATIO and (not is_search or large <= SEARCH_MS)
    goal = "" if result["read"] in WITHOUT_GOAL else "yes" if met else "**no**"
    return [result["read"], result["user"], f"{small:.1f}", f"{large:.1f}", f"{ratio:.2f}", goal]


def row_of_work(result: dict[str, Any]) -> list[str]:
    """Return a row of the table of work on single documents."""
    took, goal = result["p50_ms"], result["goal_ms"]
    return [result["work"], f"{took:.0f}", f"{goal:.0f}", "yes" if took <= goal else "**no**"]


def text_of(
    results: Sequence[dict[str, Any]], works: Sequence[dict[str, Any]], *, numbers: tuple[int, int], minutes: float
) -> str:
    """Return the tables with an explanation."""
    columns = ("read", "user", f"p50 ms, {numbers[0]:,}", f"p50 ms, {numbers[1]:,}", "ratio", "goal met")
    about = (
        f"Lists and searches over the API in one process, with {numbers[0]:,} and {numbers[1]:,} documents of 4 kB "
        f"that share 1,000 texts, 100 in each scope; pages of 10. `all` is staff, `few` sees one scope. "
        f"Goals: a ratio of at most {MAX_RATIO}, and for searches at most {SEARCH_MS:.0f} ms. "
        f"The documents were filled in {minutes:.1f} minutes (goal: {FILL_MINUTES:.0f})."
    )
    work_columns = ("work", "p50 ms", "goal ms", "goal met")
    parts = [about, report.table(columns, map(row_of, results)), report.table(work_columns, map(row_of_work, works))]
    return "\n\n".join(parts)


def main() -> int:
    """Fill both sizes, measure them in turns, and write the results."""
    options = sizes.parse_options(__doc__, name="documents")

    def read(target: database.Database, documents: int) -> list[dict[str, Any]]:
        return sizes.measured_by("benchmarks.systems.documents.reads", documents, options.tries, target=target)

    with ExitStack() as stack:
        targets, minutes, runs = sizes.measure(stack, options, fill=fill, read=read)
        works = sizes.measured_by("benchmarks.systems.documents.works", options.tries, target=targets[0])
    text = text_of(sizes.compare(runs), works, numbers=(options.sizes[0], options.sizes[-1]), minutes=minutes[-1])
    report.write(options.name, text, {"machine": report.machine(), "runs": runs, "works": works, "minutes": minutes})
    return 0


if __name__ == "__main__":
    sys.exit(main())
