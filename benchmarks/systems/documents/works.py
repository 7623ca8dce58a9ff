"""Durations of work on single documents: differences, files to download, and texts of files: python -m … TRIES."""

from __future__ import annotations

import asyncio
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pypdfium2

from documents.comparison.diff import compare
from documents.comparison.html import render_html
from documents.extraction.process import extract
from documents.rendering.render import render
from documents.rendering.sources import DocumentSource
from tests.factories.differences import PAIRS, pair

DIFFERENCE_MS, FILE_MS, TEXT_MS = 200.0, 1_000.0, 3_000.0
PAGES, MANY_PAGES = 30, 100
_PARAGRAPH = (
    "The **harbour** is open to all ships of the line, and its dues are counted by the day. "
    "Each of the four berths has *two* cranes; a ship waits for a berth outside of the wall until the pilot calls. "
) * 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One piece of work: a function that does it once, and the longest median in milliseconds."""

    name: str
    once: Callable[[], object]
    goal_ms: float


def page_count(pdf: bytes) -> int:
    """Return the number of pages of a PDF."""
    with pypdfium2.PdfDocument(io.BytesIO(pdf)) as read:
        return len(read)


def report_of(sections: int) -> DocumentSource:
    """Return a document of sections with headings, paragraphs, lists and a table."""
    parts: list[dict[str, Any]] = [
        {
            "title": f"Section {number}",
            "text": f"{_PARAGRAPH}\n\n- first item of {number}\n- second item\n\n{_PARAGRAPH}",
            "costs": [{"item": f"Crane {row}", "amount": row * number, "paid": row % 2 == 0} for row in range(6)],
        }
        for number in range(1, sections + 1)
    ]
    made = datetime(2026, 3, 4, tzinfo=UTC)
    content = {"summary": _PARAGRAPH, "sections": parts}
    return DocumentSource(name="report", title="Report", content=content, created_at=made, provenance=("Version 1",))


def report_of_pages(pages: int) -> DocumentSource:
    """Return the shortest document whose PDF has so many pages."""
    sections = pages
    while page_count(render(report_of(sections), "pdf")) < pages:
        sections += max(1, pages // 10)
    while page_count(render(report_of(sections - 1), "pdf")) >= pages:
        sections -= 1
    return report_of(sections)


def _difference(name: str) -> Work:
    """Return the comparison of two versions of about 200 kB, and its HTML."""
    before, after = pair(name)
    return Work(
        name=f"difference of 200 kB, {name}", once=lambda: render_html(compare(before, after)), goal_ms=DIFFERENCE_MS
    )


def works() -> list[Work]:
    """Return all work to measure."""
    source, pdf = report_of_pages(PAGES), render(report_of_pages(MANY_PAGES), "pdf")

    def read_pdf() -> None:
        asyncio.run(extract(pdf, name="report.pdf"))

    files = [
        Work(name=f"{name} of {PAGES} pages", once=partial(render, source, name), goal_ms=FILE_MS)
        for name in ("docx", "pdf")
    ]
    text = Work(name=f"text of a PDF of {page_count(pdf)} pages", once=read_pdf, goal_ms=TEXT_MS)
    return [*map(_difference, PAIRS), *files, text]


def time_works(tries: int) -> list[dict[str, Any]]:
    """Return the median duration of each work, in milliseconds."""
    results = []
    for work in works():
        took = []
        for _ in range(tries):
            began = time.perf_counter()
            work.once()
            took.append((time.perf_counter() - began) * 1000)
        results.append({"work": work.name, "p50_ms": statistics.median(took), "goal_ms": work.goal_ms})
    return results


if __name__ == "__main__":
    print(json.dumps(time_works(int(sys.argv[1]))))  # noqa: T201
