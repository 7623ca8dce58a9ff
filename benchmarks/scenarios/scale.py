"""`make bench-scale`: reads of ten thousand and of a million calls: sums, single executions and lists."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import database, processes, report, sizes
from benchmarks.environments import HERE, ROOT

#: Goals by the kind of read: ratio of the largest to the smallest installation, and milliseconds.
GOALS = {"sums": (1.5, 50.0), "one": (1.2, None), "lists": (1.5, None)}
TITLES = {
    "sums": "Sums of calls",
    "one": "One execution, first pages, and a start",
    "lists": "Lists of executions by each filter, and by each pair",
}
STEPS = 5  # calls of an execution


def fill(target: database.Database, calls: int) -> float:
    """Create calls with their executions, and seal their blocks; return the minutes that it took."""
    began = time.monotonic()
    printed = processes.run("benchmarks.systems.scale.calls", calls, target=target)
    minutes = (time.monotonic() - began) / 60
    report.say(f"{calls:,} calls filled and sealed in {minutes:.1f} minutes; {printed.strip()}")
    return minutes


def content() -> str:
    """Return what the rows depend on: the migrations, and the code that fills."""
    files = sorted([*ROOT.glob("*/migrations/*.py"), *(HERE / "systems" / "scale").glob("*.py")])
    filling = [each for each in files if each.name != "reads.py"]
    return hashlib.sha256(b"".join(each.read_bytes() for each in filling)).hexdigest()


def row_of(result: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    ratio, (most, milliseconds) = result["ratio"], GOALS[result["kind"]]
    is_met = ratio <= most and (milliseconds is None or result["ms"][-1] <= milliseconds)
    took = (f"{each:.1f}" for each in result["ms"])
    return [result["read"], result["user"], *took, f"{ratio:.2f}", "yes" if is_met else "**no**"]


def table_of(kind: str, results: Sequence[dict[str, Any]], numbers: Sequence[int]) -> str:
    """Return the table of one kind of read, with a title and its goal."""
    most, milliseconds = GOALS[kind]
    also = "" if milliseconds is None else f", and at most {milliseconds:.0f} ms"
    rows = [row_of(each) for each in results if each["kind"] == kind]
    missed = sum(row[-1] != "yes" for row in rows)
    columns = ("read", "user", *(f"p50 ms, {number:,}" for number in numbers), "ratio", "goal met")
    title = f"{TITLES[kind]}. Goal: a ratio of at most {most}{also}; {missed} of {len(rows)} miss it."
    return f"{title}\n\n{report.table(columns, rows)}"


def text_of(results: Sequence[dict[str, Any]], *, numbers: Sequence[int], minutes: float) -> str:
    """Return the tables with an explanation."""
    shown = " and ".join(f"{number:,}" for number in numbers)
    about = (
        f"Requests over the API in one process, with {shown} calls of a year, {STEPS} for each execution, in 50 "
        f"workflows and 1,000 scopes, by 20 users with 5 models. `all` is staff, `many` has a role in each of 1,000 "
        f"scopes, `few` in one that has 1.5 % of the executions. Pages have 10 rows. Filling and sealing the "
        f"largest database took {minutes:.1f} minutes."
    )
    return "\n\n".join([about, *(table_of(kind, results, numbers) for kind in GOALS)])


def main() -> int:
    """Fill all sizes, measure them in turns, and write the results."""
    options = sizes.parse_options(__doc__, name="scale")

    def read(target: database.Database, calls: int) -> list[dict[str, Any]]:
        return sizes.measured_by("benchmarks.systems.scale.reads", calls, options.tries, target=target)

    with ExitStack() as stack:
        _, minutes, runs = sizes.measure(stack, options, fill=fill, read=read, keep=content())
    text = text_of(sizes.compare(runs), numbers=options.sizes, minutes=minutes[-1])
    report.write(options.name, text, {"machine": report.machine(), "runs": runs, "minutes": minutes})
    return 0


if __name__ == "__main__":
    sys.exit(main())
