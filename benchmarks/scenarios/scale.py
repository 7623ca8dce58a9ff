"""`make bench-scale`: sums and statistics of ten thousand and of a million calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import database, processes, report, sizes

MAX_RATIO = 1.5
MAX_MS = 50.0


def fill(target: database.Database, calls: int) -> float:
    """Create calls and seal their blocks; return the minutes that it took."""
    began = time.monotonic()
    printed = processes.run("benchmarks.systems.calls.rows", calls, target=target)
    minutes = (time.monotonic() - began) / 60
    report.say(f"{calls:,} calls filled and sealed in {minutes:.1f} minutes; {printed.strip()}")
    return minutes


def row_of(result: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    small, large, ratio = result["small_ms"], result["large_ms"], result["ratio"]
    goal = "yes" if ratio <= MAX_RATIO and large <= MAX_MS else "**no**"
    return [result["read"], result["user"], f"{small:.1f}", f"{large:.1f}", f"{ratio:.2f}", goal]


def text_of(results: Sequence[dict[str, Any]], *, numbers: tuple[int, int], minutes: float) -> str:
    """Return the table with an explanation."""
    columns = ("read", "user", f"p50 ms, {numbers[0]:,}", f"p50 ms, {numbers[1]:,}", "ratio", "goal met")
    about = (
        f"Requests over the API in one process, with {numbers[0]:,} and {numbers[1]:,} calls of a year, five for each "
        f"execution, in 50 workflows and 1,000 scopes, by 20 users with 5 models. `all` is staff, `few` sees one "
        f"scope. Goals: a ratio of at most {MAX_RATIO}, and at most {MAX_MS:.0f} ms. Filling and sealing the larger "
        f"database took {minutes:.1f} minutes."
    )
    return "\n\n".join([about, report.table(columns, map(row_of, results))])


def main() -> int:
    """Fill both sizes, measure them in turns, and write the results."""
    options = sizes.parse_options(__doc__, name="scale")

    def read(target: database.Database, _calls: int) -> list[dict[str, Any]]:
        return sizes.measured_by("benchmarks.systems.calls.reads", options.tries, target=target)

    with ExitStack() as stack:
        _, minutes, runs = sizes.measure(stack, options, fill=fill, read=read)
    text = text_of(sizes.compare(runs), numbers=(options.small, options.large), minutes=minutes[1])
    report.write(options.name, text, {"machine": report.machine(), "runs": runs, "minutes": minutes})
    return 0


if __name__ == "__main__":
    sys.exit(main())
