"""Chromium, and the actions of a person."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.e2e.processes import PASSWORD, Machine, wait_until
from tests.support.waiting import HANG_SECONDS

expect.set_options(timeout=HANG_SECONDS * 1000)

#: Programs that can show pages, the best first: without its own window Chromium takes two fifths of the CPU.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


#: The address of an execution.
EXECUTION_PAGE = re.compile(r"/executions/[0-9a-f-]{36}/$")
#: For a journey on a computer and on a telephone; the first one is left to `make test-all`.
WIDTHS = pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.torture), 360])


@contextmanager
def chromium() -> Iterator[Browser]:
    """Provide Chromium."""
    with sync_playwright() as playwright:
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def browsing(
    browser: Browser, *, bypass_csp: bool = False, blocked: list[str] | None = None
) -> Iterator[BrowserContext]:
    """Provide a context, which shares no cookie with others.

    The test fails if a script fails in one of its pages, or if the policy of a page blocks something.

    Args:
        browser: Chromium.
        bypass_csp: Whether pages take scripts of the test, as those of another site would.
        blocked: Gets what the policies block, for a test that expects it.
    """
    faults: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            (faults if blocked is None else blocked).append(f"{message.location.get('url')}: {message.text}")

    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, bypass_csp=bypass_csp, reduced_motion="reduce"
    )
    context.set_default_timeout(HANG_SECONDS * 1000)
    context.on("weberror", lambda fault: faults.append(str(fault.error)))
    context.on("console", hear)
    yield context
    context.close()
    assert faults == []


def resize(page: Page, width: int) -> None:
    """Give the window of a page a width."""
    page.set_viewport_size({"width": width, "height": 800})


def enter(page: Page, machine: Machine, name: str) -> None:
    """Open the console with the session of a user of `users.NAMES`. Do not log out of it: other tests use it too."""
    page.context.add_cookies([{"name": "sessionid", "value": machine.session(name), "url": machine.url}])
    page.goto(f"{machine.url}/executions/")


def log_in(page: Page, machine: Machine, name: str) -> None:
    """Make a user when missing, and log in."""
    machine.token(name)
    send_login(page, machine.url, name)


def send_login(page: Page, url: str, name: str) -> None:
    """Log in as a user who exists, and come to the first page."""
    page.goto(f"{url}/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{url}/")


def choose_workflow(page: Page, workflow_id: str) -> None:
    """Choose a workflow in the form that starts an execution."""
    page.locator(f"#workflow-{workflow_id}").check()


def name_scope(page: Page, key: str) -> None:
    """Name a new scope in that form; tick that it is made if the form asks for it."""
    page.get_by_label("Scope key").fill(key)
    expect(page.locator("#scope-is-new bdi").first).to_have_text(key)
    tick = page.get_by_label("Make this scope")
    if tick.count():
        tick.check()


def wait_in_page(page: Page, expression: str, argument: object = None) -> None:
    """Wait until an expression is true in a page whose policy allows no script to evaluate texts."""
    wait_until(lambda: page.evaluate(expression, argument), seconds=HANG_SECONDS, what=expression)
