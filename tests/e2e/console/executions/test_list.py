"""The list of executions in Chromium: filters, acts on several rows, and rows that change under the reader's hands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.console.accessibility import check
from tests.e2e.console.browser import EXECUTION_PAGE, WIDTHS, browsing, resize
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER = "rosa"
BODY = {"workflow_id": "meeting-minutes", "scope_type": "project", "input": CLOSED_BRIEF}


@pytest.fixture
def page(browser: Browser, shared: Machine) -> Iterator[Page]:
    """A page of a person who is logged in."""
    with browsing(browser) as context:
        context.add_cookies([{"name": "sessionid", "value": shared.session(OWNER), "url": shared.url}])
        yield context.new_page()


def short(machine: Machine, key: str) -> str:
    """Start an execution that waits for a higher budget."""
    with machine.client(OWNER) as client:
        body = {**BODY, "scope_id": key, "budget": {"max_calls": 0}, "tags": [key]}
        execution_id: str = client.post("/executions/", json=body).json()["execution_id"]
        wait_for_status(client, execution_id, "waiting")
    return execution_id


def show_filters(page: Page) -> None:
    if not page.get_by_label("Tag").is_visible():
        page.get_by_text("Filters").click()


def row(page: Page, execution_id: str) -> Locator:
    return page.locator(f'[id="execution-{execution_id}"]')


@WIDTHS
def test_a_person_finds_what_waits_cancels_it_and_comes_back(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    tag = f"list-{width}"
    first, second = short(shared, tag), short(shared, tag)
    with shared.client(OWNER) as client:
        done = start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key=f"done-{width}")
        wait_for_status(client, done, "completed")
    page.goto(f"{shared.url}/documents/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Executions").click()
    expect(row(page, done)).to_contain_text("Meeting minutes")
    check(page, f"executions-{width}")

    show_filters(page)
    page.get_by_label("Waits for").select_option("A higher budget")
    page.get_by_label("Tag").fill(tag)
    page.get_by_label("Tag").press("Enter")
    page.wait_for_url(f"**/executions/?waiting_on=budget&tag={tag}")
    expect(page.locator("#listed tbody tr")).to_have_count(2)
    expect(row(page, first)).to_contain_text("waits for you to raise the budget")
    row(page, second).get_by_role("link", name="Meeting minutes").click()
    page.wait_for_url(EXECUTION_PAGE)
    page.go_back()
    expect(page.locator("#listed tbody tr")).to_have_count(2)  # the filters are in the address

    row(page, first).get_by_role("checkbox").press("Space")
    page.get_by_role("button", name="Cancel the chosen").press("Enter")
    told = page.get_by_role("status").filter(has_text="1 of 1 is cancelled.")
    expect(told).to_contain_text(f"Meeting minutes {tag}: cancelled")
    expect(page.get_by_role("button", name="Cancel the chosen")).to_be_focused()
    expect(page.locator("#listed tbody tr")).to_have_count(1)
    check(page, f"executions-cancelled-{width}")
    page.get_by_role("button", name="Choose all").click()
    page.get_by_role("button", name="Cancel the chosen").click()
    expect(page.get_by_text("No execution matches.")).to_be_visible()
    page.goto(f"{shared.url}/executions/?tag={tag}")
    page.get_by_role("button", name="Choose all").click()
    page.get_by_role("button", name="Retry the chosen").click()
    expect(page.get_by_text("2 of 2 are retried.")).to_be_visible()
    expect(page.get_by_text("waits for you to raise the budget")).to_have_count(2)  # without a reload
    page.get_by_role("button", name="Choose all").click()
    page.get_by_role("button", name="Cancel the chosen").click()
    expect(page.get_by_text("2 of 2 are cancelled.")).to_be_visible()


def test_focus_choice_and_typed_text_survive_rows_that_come_and_go(shared: Machine, page: Page) -> None:
    """Nothing is read out: the only live region is that of the outcomes."""
    tag = "rows-that-move"
    first = short(shared, tag)
    page.goto(f"{shared.url}/executions/?tag={tag}")
    row(page, first).get_by_role("checkbox").check()
    show_filters(page)
    page.get_by_label("Scope key").fill("half a w")
    link = row(page, first).get_by_role("link", name="Meeting minutes")
    link.focus()
    page.evaluate("window.held = document.activeElement")
    second = short(shared, tag)  # a row comes above
    expect(row(page, second)).to_contain_text("waits for you to raise the budget")
    with shared.client(OWNER) as client:
        client.post(f"/executions/{second}/cancel")
        expect(row(page, second)).to_contain_text("cancelled")
        assert page.evaluate("document.activeElement === window.held")
        expect(row(page, first).get_by_role("checkbox")).to_be_checked()
        expect(page.get_by_label("Scope key")).to_have_value("half a w")
        client.post(f"/executions/{first}/cancel")
    assert page.evaluate("!document.querySelector('#listed').closest('[aria-live], [role=status]')")
    assert page.evaluate("!document.querySelector('#listed [aria-live], #listed [role=status]')")


def test_the_list_is_read_and_acted_on_without_scripts(shared: Machine, browser: Browser) -> None:
    tag = "without-scripts"
    execution_id = short(shared, tag)
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": "sessionid", "value": shared.session(OWNER), "url": shared.url}])
    page = context.new_page()
    page.goto(f"{shared.url}/executions/?tag={tag}")
    expect(page.get_by_role("button", name="Choose all")).to_be_hidden()
    row(page, execution_id).get_by_role("checkbox").check()
    page.get_by_role("button", name="Cancel the chosen").click()
    expect(page.get_by_text("1 of 1 is cancelled.")).to_be_visible()
    expect(row(page, execution_id)).to_contain_text("cancelled")
    context.close()
