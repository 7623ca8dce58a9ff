"""A browser that enforces the Content-Security-Policy blocks nothing on the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.browser import browsing, choose_workflow, log_in, name_scope, wait_in_page
from tests.e2e.processes import PASSWORD, Machine

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


@pytest.fixture
def refused() -> list[str]:
    """What the browser says that it has refused."""
    return []


@pytest.fixture
def page(browser: Browser, refused: list[str]) -> Iterator[Page]:
    """A page in a browser of its own."""
    with browsing(browser, blocked=refused) as context:
        yield context.new_page()


def test_the_console_works_under_its_policy(shared: Machine, page: Page, refused: list[str]) -> None:
    log_in(page, shared, "ada")
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "meeting-minutes")
    name_scope(page, "policy")
    page.get_by_label("Brief", exact=True).fill("We met. We agreed to meet again.")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#status")).to_have_text("completed")
    page.goto(f"{shared.url}/inbox/")
    expect(page.get_by_role("heading").first).to_be_visible()
    assert refused == []
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
    wait_in_page(page, "document.images.length > 0")
    for _ in range(100):
        if refused:
            break
        page.wait_for_timeout(50)
    assert len(refused) == 1  # what is written into a page is not run
    assert page.title() != "1"


@pytest.mark.torture
def test_the_admin_works_under_its_policy(shared: Machine, page: Page, refused: list[str]) -> None:
    shared.manage("issue_token", "root", "--superuser", "--password-stdin", stdin=f"{PASSWORD}\n")
    page.goto(f"{shared.url}/admin/")
    page.locator("input[name=username]").fill("root")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url("**/admin/")
    for path in ("executions/execution/", "access/scope/", "access/user/", "access/user/add/", "telemetry/price/add/"):
        page.goto(f"{shared.url}/admin/{path}")
        page.wait_for_load_state("networkidle")
        expect(page.locator("#content, main").first).to_be_visible()
    assert refused == []


@pytest.mark.torture
def test_the_page_of_the_api_works_under_its_policy(shared: Machine, page: Page, refused: list[str]) -> None:
    page.goto(f"{shared.url}/api/v1/docs")
    operation = page.locator(".opblock").first
    expect(operation).to_be_visible()
    operation.locator("button").first.click()
    expect(operation.locator(".opblock-body")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert refused == []
