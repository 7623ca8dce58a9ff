"""Chromium in a measurement: what a page loads while its execution runs, and how soon a page is painted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import BrowserContext, Page

from benchmarks import processes
from benchmarks.database import Database
from tests.e2e.console.browser import chromium, send_login
from tests.e2e.processes import PASSWORD, free_port, wait_until

#: Browsers report tasks of 50 ms and more (W3C, "Long Tasks").
_WATCH = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.longest = Math.max(window.longest, each.duration);
}).observe({ type: "longtask", buffered: true });
"""
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


@dataclass(slots=True)
class Load:
    """What a page has loaded: requests, and their bytes on the line. A stream that stays open counts once."""

    requests: int = 0
    bytes: int = 0


@contextmanager
def served(target: Database, *, user: str, worker: bool, **settings: str) -> Iterator[str]:
    """Provide the address of a web process, with a user who has a password."""
    target.manage("issue_token", user, "--superuser", "--password-stdin", stdin=f"{PASSWORD}\n")
    port = str(free_port())
    flags = () if worker else ("--no-worker",)
    with processes.running("manage.py", "serve", *flags, "--port", port, target=target, **settings) as process:
        while not (line := processes.read_line(process)).startswith("ready"):
            assert line or process.poll() is None, "the web server did not start"
        yield f"http://127.0.0.1:{port}"


@contextmanager
def logged_in(url: str, *, user: str) -> Iterator[Page]:
    """Provide a page of Chromium in which a user is logged in."""
    with chromium() as browser:
        context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_init_script(_WATCH)
        page = context.new_page()
        send_login(page, url, user)
        yield page


def watch(page: Page) -> Load:
    """Count from now on what a page loads, by the protocol of Chromium's developer tools."""
    load = Load()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")

    def begin(_: Any) -> None:
        load.requests += 1

    def receive(event: dict[str, Any]) -> None:
        load.bytes += int(event["encodedDataLength"])

    session.on("Network.requestWillBeSent", begin)
    session.on("Network.dataReceived", receive)
    return load


def longest_task(page: Page) -> float:
    """Return the duration of the longest task of the main thread in milliseconds; 0 if none took 50 ms."""
    return float(page.evaluate("window.longest"))


def first_paint(page: Page, *, click: str, tries: int) -> float:
    """Return the median time from a click on a link to the first paint of the next page in milliseconds."""
    origin, took = page.url, []
    for _ in range(tries + 1):
        page.goto(origin)
        page.locator(click).first.click()
        page.wait_for_load_state("load")
        took.append(float(wait_until(lambda: page.evaluate(_FIRST_PAINT), what="the first paint")))
    return statistics.median(took[1:])  # the first one fills the browser's cache


def stay(page: Page, seconds: float) -> None:
    """Keep a page open."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        page.wait_for_timeout(min(1000, max(0, (until - time.monotonic()) * 1000)))
