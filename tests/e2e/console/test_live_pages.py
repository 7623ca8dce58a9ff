"""Pages in Chromium follow streams through restarts of servers, networks and sessions, without a reload."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.console.browser import browsing, enter, wait_in_page
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status
from tests.e2e.providers.test_providers import asking
from tests.integration.llm import wire_formats
from tests.integration.llm.model_server import Answer

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

TORTURE = pytest.mark.torture

#: Headless Chromium shows all its pages at once: what a page is told when people go to another tab is said here.
TABS = """
let away = false;
Object.defineProperty(document, "hidden", { get: () => away });
Object.defineProperty(document, "visibilityState", { get: () => (away ? "hidden" : "visible") });
window.told = []; // numbers of the events that the page was told of
document.addEventListener("scriptorium:changed", ({ detail }) => told.push(detail.sequence ?? detail.kind));
window.look = (at) => { away = !at; document.dispatchEvent(new Event("visibilitychange")); };
"""
FOLLOW = """
async ({ path, options }) => {
  const { follow } = await import("/static/scriptorium/stream.js");
  const told = (window.told = { ids: [], states: [], problems: [] });
  if (options.tickets) options.ticket = async () => (await (await fetch(options.tickets, {
    method: "POST", headers: { Authorization: `Bearer ${options.secret}` } })).json()).ticket;
  window.stream = follow(path, {
    ...options,
    onEvent: (event, id) => told.ids.push(Number(id)),
    onState: (state, why) => told.states.push(why ?? state),
    onError: (problem) => told.problems.push(problem.status),
  });
}
"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A separate browser, whose pages can be set to hidden."""
    with browsing(browser) as opened:
        opened.add_init_script(TABS)
        yield opened


def _opened(context: BrowserContext, machine: Machine, execution_id: str) -> Page:
    page = context.new_page()
    page.goto(f"{machine.url}/executions/{execution_id}/")
    wait_in_page(page, "told.includes('connected')")
    return page


def _logged(page: Page) -> list[int]:
    """Return the numbers of the events that a page was told of. It began with that of its start, which it shows."""
    return [each for each in page.evaluate("told") if isinstance(each, int)]


def _ends_well(page: Page, client: httpx.Client, execution_id: str) -> None:
    """Wait until the page shows the end; it was told each event once."""
    expect(page.locator("#status")).to_have_text("completed")
    expect(page.locator(".step")).not_to_have_count(0)
    expect(page.locator(".step:not([data-status=completed])")).to_have_count(0)
    expect(page.locator("#connection")).to_be_hidden()
    expect(page).to_have_title(re.compile("^completed"))
    last = client.get(f"/executions/{execution_id}/events", params={"limit": 200}).json()["data"][-1]["sequence"]
    wait_in_page(page, "last => told.includes(last)", argument=last)
    assert _logged(page) == list(range(2, last + 1))


@pytest.mark.torture
def test_two_tabs_outlive_a_server_that_is_killed(fresh: Machine, context: BrowserContext) -> None:
    server = fresh.serve("--no-worker")
    with fresh.client("ada") as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        first = context.new_page()
        enter(first, fresh, "ada")
        tabs = [_opened(context, fresh, execution_id) for _ in range(2)]
        server.send_signal(signal.SIGKILL)
        server.wait()
        for page in tabs:
            expect(page.locator("#connection")).to_be_visible()
        fresh.start("worker", REHEARSAL_LATENCY_SECONDS="1")
        fresh.serve("--no-worker")
        for page in tabs:
            _ends_well(page, client, execution_id)


@pytest.mark.torture
def test_a_page_without_a_network_for_a_while_shows_in_the_end_what_happened(
    fresh: Machine, context: BrowserContext
) -> None:
    fresh.serve("--no-worker")
    with fresh.client("ada") as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        enter(context.new_page(), fresh, "ada")
        page = _opened(context, fresh, execution_id)
        context.set_offline(True)
        expect(page.locator("#connection")).to_be_visible()
        fresh.start("worker")
        wait_for_status(client, execution_id, "completed")
        assert _logged(page) == []
        context.set_offline(False)
        _ends_well(page, client, execution_id)


@pytest.mark.torture
def test_ten_tabs_share_the_six_connections_of_a_browser(fresh: Machine, context: BrowserContext) -> None:
    fresh.serve("--no-worker")
    with fresh.client("ada") as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        enter(context.new_page(), fresh, "ada")
        tabs: list[Page] = []
        for _ in range(10):
            if tabs:
                tabs[-1].evaluate("look(false)")
            tabs.append(_opened(context, fresh, execution_id))
        fresh.start("worker")
        _ends_well(tabs[-1], client, execution_id)
        for page in tabs[:-1]:
            assert _logged(page) == []
            page.evaluate("look(true)")
            _ends_well(page, client, execution_id)


def test_the_text_of_a_step_is_shown_while_it_is_written_and_is_only_text(
    fresh: Machine, context: BrowserContext, tmp_path: Path
) -> None:
    document: dict[str, Any] = {"title": "T", "points": ["<img src=x onerror=alert(1)> 😀 " + "and so on " * 60]}
    pictures = Path(os.environ.get("SCREENSHOT_DIR", tmp_path))
    with asking(fresh, Answer(pause=0.1, streamed=wire_formats.completion("submit_document", document))):
        fresh.serve("--no-worker")
        with fresh.client("ada") as client:
            execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
            enter(context.new_page(), fresh, "ada")
            page = _opened(context, fresh, execution_id)
            fresh.start("worker")
            expect(page.locator(".step[data-status=running]").first).to_be_visible()
            draft = page.locator("#writing [data-draft]").first
            expect(draft).to_contain_text("<img src=x onerror=alert(1)>")
            expect(page.locator("#writing h3").first).to_have_text(re.compile("^[A-Z]"))  # the name of the step
            expect(draft).to_contain_text("and so on and so on")
            page.screenshot(path=pictures / "writing.png", full_page=True)
            assert page.locator("[data-draft] *").count() == 0
            shown = draft.text_content() or "?"
            assert f"Title: T\nPoints: {document['points'][0]}".startswith(shown)
            context.set_offline(True)
            expect(page.locator("#connection")).to_be_visible()
            context.set_offline(False)
            expect(page.locator("#connection")).to_be_hidden()
            length = len(draft.text_content() or "")
            wait_in_page(
                page, "length => document.querySelector('[data-draft]')?.textContent.length > length", argument=length
            )
            client.post(f"/executions/{execution_id}/cancel")
            expect(page.locator("#status")).to_have_text("cancelled")
            expect(page.locator("#writing")).to_be_hidden()


@pytest.mark.parametrize("way", ["feed", pytest.param("ticket", marks=TORTURE), pytest.param("token", marks=TORTURE)])
@pytest.mark.torture
def test_a_page_without_a_session_follows_with_the_module(fresh: Machine, context: BrowserContext, way: str) -> None:
    server = fresh.serve("--no-worker")
    with fresh.client("ada") as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        secret = client.headers["Authorization"].split()[1]
        path = "/api/v1/scopes/project/p1/stream" if way == "feed" else f"/api/v1/executions/{execution_id}/stream"
        options = {"token": secret} if way == "token" else {"tickets": f"{path}-tickets", "secret": secret}
        page = context.new_page()  # without a session
        page.goto(f"{fresh.url}/healthz")
        page.evaluate(FOLLOW, {"path": path, "options": options})
        wait_in_page(page, "told.states.at(-1) === 'open'")
        server.send_signal(signal.SIGKILL)
        server.wait()
        wait_in_page(page, "told.states.at(-1) === 'cut'")
        fresh.start("worker")
        fresh.serve("--no-worker")
        wait_for_status(client, execution_id, "completed")
        last = client.get(f"/executions/{execution_id}/events", params={"limit": 200}).json()["data"][-1]["sequence"]
        wait_in_page(page, "last => told.ids.at(-1) === last", argument=last)
        if way != "feed":
            wait_in_page(page, "stream.state === 'closed'")
            assert page.evaluate("told.states.at(-1)") == "ended"
        first = 2 if way == "feed" else 1  # a feed begins with what happens from then on
        assert page.evaluate("told.ids") == list(range(first, last + 1))
        assert page.evaluate("told.problems") == []
