"""The page of the API: *Try it out* warns before a request that starts or changes something."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect

from tests.e2e.console.browser import browsing, log_in
from tests.e2e.processes import Machine

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a browser of its own, whose policy blocks nothing."""
    with browsing(browser) as context:
        yield context.new_page()


def sent(page: Page) -> list[str]:
    """Return a list that gets the method and the path of each request that changes something."""
    found: list[str] = []

    def note(request: Request) -> None:
        if request.method not in {"GET", "HEAD"}:
            found.append(f"{request.method} {request.url.partition('/api/v1')[2]}")

    page.on("request", note)
    return found


def tried(page: Page, name: str) -> Locator:
    """Open an operation, fill the form, and return its button *Execute*."""
    operation = page.locator(f"[id='{name}']")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    return operation.locator("button.execute")


def test_a_request_that_starts_something_is_sent_after_a_warning_alone(shared: Machine, page: Page) -> None:
    log_in(page, shared, "cora")
    page.goto(f"{shared.url}/api/v1/docs")
    expect(page.get_by_text("Requests are sent as cora.")).to_be_visible()
    requests = sent(page)
    execute = tried(page, "operations-account-me_tokens_create")
    execute.click()
    warning = page.get_by_role("dialog", name="Send this request?")
    expect(warning).to_contain_text("POST /api/v1/me/tokens Create a token with some rights")
    page.keyboard.press("Escape")
    expect(warning).to_be_hidden()
    execute.click()
    expect(warning.get_by_role("button", name="Do not send")).to_be_focused()
    page.keyboard.press("Enter")
    expect(warning).to_be_hidden()
    assert requests == []
    execute.click()
    warning.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".live-responses-table tbody .response-col_status").first).to_have_text(re.compile("201|422"))
    assert requests == ["POST /me/tokens"]


def test_a_request_that_changes_nothing_is_sent_at_once(shared: Machine, page: Page) -> None:
    log_in(page, shared, "rosa")  # an author
    page.goto(f"{shared.url}/api/v1/docs")
    for name in ("operations-account-me_retrieve", "operations-workflows-workflows_validate"):
        tried(page, name).click()
        status = page.locator(f"[id='{name}'] .live-responses-table tbody .response-col_status").first
        expect(status).to_have_text(re.compile("200"))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_only_a_token_can_be_given_and_a_link_leads_back(shared: Machine, page: Page) -> None:
    page.goto(f"{shared.url}/api/v1/docs")
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    page.get_by_role("button", name="Authorize").click()
    expect(page.locator(".auth-container h4")).to_have_count(1)
    expect(page.locator(".auth-container h4")).to_contain_text("bearerAuth")
    page.locator(".close-modal").click()
    page.locator("[id='operations-inbox-inbox_stream'] .opblock-summary-control").click()
    expect(page.locator("[id='operations-inbox-inbox_stream'] .opblock-description")).to_be_visible()
    expect(page.locator("[id='operations-inbox-inbox_stream'] .try-out")).to_be_hidden()
    page.get_by_role("link", name="Back to the console").click()
    page.wait_for_url(re.compile("/login/"))
