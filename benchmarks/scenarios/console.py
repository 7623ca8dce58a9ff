"""`make bench-console`: pages of the console with 200,000 executions, and what browsers load while executions run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks import browser, database, processes, report, sizes
from benchmarks.scenarios import scale

PAGE_MS, PAGE_QUERIES, CODE_BYTES = 50.0, 12, 60_000
PAINT_MS, TASK_MS = 150.0, 100.0
#: A viewer of an execution with 300 items.
ITEMS, SECONDS, LATENCY_SECONDS = 300, 90.0, 2.5
MAX_REQUESTS, MAX_BYTES = 40, 1_000_000
MANY_ITEMS = 3_000
USER = "viewer"

_DONE = "SELECT count(*) FROM executions_executionstep WHERE status = 'completed'"


def row_of(result: dict[str, Any]) -> list[str]:
    """Return a row of the table of pages."""
    is_met = result["p50_ms"] <= PAGE_MS and result["queries"] <= PAGE_QUERIES and result["code"] <= CODE_BYTES
    numbers = (f"{result['p50_ms']:.0f}", str(result["queries"]), f"{result['code'] / 1000:.0f}")
    sizes_of = f"{result['html'] / 1000:.0f}"
    return [result["page"], result["user"], *numbers, sizes_of, "yes" if is_met else "**no**"]


def text_of(pages: Sequence[dict[str, Any]], *, calls: int) -> str:
    """Return the tables with an explanation."""
    shown = [each for each in pages if each["status"] == 200]  # the others are not open to the user
    rows = [row_of(each) for each in shown]
    missed = sum(row[-1] != "yes" for row in rows)
    about = (
        f"Pages in one process, with {calls:,} calls, {calls // scale.STEPS:,} executions and 100,000 documents. "
        f"`all` is staff, `many` has a role in each of 1,000 scopes, `few` in one. Goals: at most {PAGE_MS:.0f} ms, "
        f"{PAGE_QUERIES} queries, and {CODE_BYTES // 1000} kB of compressed scripts and styles; "
        f"{missed} of {len(rows)} miss one."
    )
    columns = ("page", "user", "p50 ms", "queries", "code, kB", "HTML, kB", "goal met")
    return f"{about}\n\n{report.table(columns, rows)}"


def view_items(seconds: float) -> dict[str, Any]:
    """Return what one viewer of an execution with 300 items loads while it runs."""
    with (
        database.fresh_database("console", product=True) as target,
        browser.served(target, user=USER, worker=True, REHEARSAL_LATENCY_SECONDS=str(LATENCY_SECONDS)) as url,
        browser.logged_in(url, user=USER) as page,
    ):
        execution_id = json.loads(processes.run("benchmarks.systems.console.items", ITEMS, target=target))
        load = browser.watch(page)
        page.goto(f"{url}/executions/{execution_id}/")
        browser.stay(page, seconds)
        done = processes.query_number(target, _DONE)
        found = {"requests": load.requests, "bytes": load.bytes, "task_ms": browser.longest_task(page)}
        return {**found, "items": done, "seconds": seconds}


def read_items() -> dict[str, float]:
    """Return the longest task of the main thread in milliseconds, by what is done with 3,000 items."""
    with (
        database.fresh_database("console", product=True) as target,
        browser.served(target, user=USER, worker=True) as url,
        browser.logged_in(url, user=USER) as page,
    ):
        execution_id = json.loads(processes.run("benchmarks.systems.console.items", MANY_ITEMS, target=target))
        processes.wait_until_done(target, seconds=MANY_ITEMS)
        found: dict[str, float] = {}
        for name, path in (("the execution", ""), ("its items", "steps/note/items/")):
            page.goto(f"{url}/executions/{execution_id}/{path}")
            page.mouse.wheel(0, 5_000)
            page.wait_for_load_state("load")
            found[name] = browser.longest_task(page)
        return found


def paint_pages(target: database.Database, *, tries: int) -> dict[str, float]:
    """Return the time from a click to the first paint in milliseconds, by page."""
    with browser.served(target, user=USER, worker=False) as url, browser.logged_in(url, user=USER) as page:
        found: dict[str, float] = {}
        for name in ("Executions", "Inbox", "Documents", "Costs"):
            page.goto(f"{url}/workflows/")
            link = f"nav a:has-text('{name}')"
            found[name.lower()] = browser.first_paint(page, click=link, tries=tries)
        page.goto(f"{url}/executions/")
        found["an execution"] = browser.first_paint(page, click="a.open", tries=tries)
        return found


def text_of_browser(viewed: dict[str, Any], tasks: dict[str, float], painted: dict[str, float]) -> str:
    """Return the table of what browsers did."""
    within = [
        (f"requests of a viewer in {viewed['seconds']:.0f} s, {viewed['items']:.0f} of {ITEMS} items done meanwhile",
         f"{viewed['requests']}", f"{MAX_REQUESTS}", viewed["requests"] <= MAX_REQUESTS),
        ("its kB", f"{viewed['bytes'] / 1000:.0f}", f"{MAX_BYTES // 1000}", viewed["bytes"] <= MAX_BYTES),
        ("its longest task, ms", f"{viewed['task_ms']:.0f}", f"{TASK_MS:.0f}", viewed["task_ms"] <= TASK_MS),
        *((f"longest task, {MANY_ITEMS:,} items, {name}, ms", f"{took:.0f}", f"{TASK_MS:.0f}", took <= TASK_MS)
          for name, took in tasks.items()),
        *((f"from a click to the first paint, {name}, ms", f"{took:.0f}", f"{PAINT_MS:.0f}", took <= PAINT_MS)
          for name, took in painted.items()),
    ]  # fmt: skip
    rows = [(what, found, most, "yes" if is_met else "**no**") for what, found, most, is_met in within]
    return report.table(("in Chromium", "found", "at most", "goal met"), rows)


def main() -> int:
    """Fill the database unless it is there, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--tries", type=int, default=9, help="requests of each page")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the viewer")
    parser.add_argument("--name", default="console", help="name of the result files")
    options = parser.parse_args()
    database.start()
    filled = partial(scale.fill, calls=options.calls)
    target, _ = database.kept_database(f"scale_{options.calls}", scale.content(), fill=filled)
    database.checkpoint()
    executions = options.calls // scale.STEPS
    pages = sizes.measured_by("benchmarks.systems.console.pages", executions, options.tries, target=target)
    painted = paint_pages(target, tries=options.tries)
    viewed, tasks = view_items(options.seconds), read_items()
    text = f"{text_of(pages, calls=options.calls)}\n\n{text_of_browser(viewed, tasks, painted)}"
    measured = {"pages": pages, "viewed": viewed, "tasks": tasks, "painted": painted}
    report.write(options.name, text, {"machine": report.machine(), **measured})
    return 0


if __name__ == "__main__":
    sys.exit(main())
