"""The page of costs in Chromium: from the navigation to the executions of a bar, with a keyboard, in both schemes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.console.accessibility import check
from tests.e2e.console.browser import WIDTHS, browsing, resize
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER = "cora"


@pytest.fixture(scope="module")
def spent(shared: Machine) -> Machine:
    """An installation in which an execution has called a model."""
    with shared.client(OWNER) as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key="costs")
        wait_for_status(client, execution_id, "completed")
        assert client.put("/scopes/project/costs/budget", json={"max_cost_usd": "20"}).status_code in {200, 201}
    return shared


@pytest.fixture
def page(browser: Browser, spent: Machine) -> Iterator[Page]:
    """A page of a person who is logged in."""
    context: BrowserContext
    with browsing(browser) as context:
        context.add_cookies([{"name": "sessionid", "value": spent.session(OWNER), "url": spent.url}])
        yield context.new_page()


@WIDTHS
def test_a_person_finds_the_executions_behind_a_sum(spent: Machine, page: Page, width: int) -> None:
    resize(page, width)
    page.goto(f"{spent.url}/documents/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Costs").click()  # one click
    expect(page.get_by_role("heading", level=1)).to_contain_text("Costs of ")
    expect(page.get_by_role("region", name="By model")).to_contain_text("rehearsal")
    expect(page.get_by_role("meter")).to_have_count(1)
    check(page)

    page.get_by_role("navigation", name="Split by").get_by_role("link", name="Scope").press("Enter")
    expect(page.get_by_role("heading", name="By scope")).to_be_visible()
    table = page.get_by_role("region", name="By scope")
    table.focus()
    expect(table).to_be_focused()
    table.get_by_role("link", name="Executions: costs, ").press("Enter")
    listed = page.get_by_role("region", name="Executions of this sum")
    expect(listed.get_by_role("row")).to_have_count(2)
    check(page)

    page.get_by_role("link", name="Take away the filter Scope key").press("Enter")
    expect(page.get_by_text("Executions of this sum")).to_have_count(0)
    if not page.get_by_label("Person").is_visible():
        page.get_by_text("Period and filters").click()
    page.get_by_label("Person").fill("eve")
    page.get_by_label("Person").press("Enter")
    expect(page.get_by_text("No calls of models in this period.")).to_be_visible()
    assert "user=eve" in page.url
    assert "workflow_id" not in page.url
    check(page)


def test_a_printed_page_has_the_numbers_and_no_forms(spent: Machine, page: Page) -> None:
    page.goto(f"{spent.url}/costs/")
    page.emulate_media(media="print")
    expect(page.get_by_role("region", name="By day")).to_be_visible()
    expect(page.get_by_label("Person")).to_be_hidden()
    expect(page.get_by_role("navigation", name="Split by")).to_be_hidden()
