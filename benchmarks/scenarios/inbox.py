"""`python -m benchmarks.scenarios.inbox`: the first page of the inbox with ten and with ten thousand waiting things."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from benchmarks import database, processes, report
from benchmarks.metrics import percentile

FEW = 10


def measure(waiting: int, *, tries: int) -> dict[str, Any]:
    """Read the first page, of ten entries, and the counts; by staff, and by the owner of the scope."""
    with database.fresh_database("inbox", product=True) as target:
        printed = processes.run("benchmarks.systems.inbox", waiting, tries, FEW, target=target)
        found: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return found


def row_of(result: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    fast = (f"{percentile(result[who], 50) * 1000:.1f}" for who in ("staff", "owner"))
    return [f"{result['waiting']:,}", *fast]


def main() -> int:
    """Measure with few and with many waiting things, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--tries", type=int, default=200)
    options = parser.parse_args()
    database.start()
    results = []
    for waiting in (FEW, options.waiting):
        results.append(measure(waiting, tries=options.tries))
        report.say(" | ".join(row_of(results[-1])))
    few, many = (percentile(each["owner"], 50) for each in results)
    columns = ("waiting", "first page by staff, ms (p50)", "first page by the owner, ms (p50)")
    ratio = f"With {options.waiting:,} waiting things the page takes {many / few:.2f} times as long."
    text = f"{report.table(columns, map(row_of, results))}\n\n{ratio} Targets: at most 1.2 times, and 50 ms each."
    report.write("inbox", text, {"machine": report.machine(), "runs": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
