"""Calls and steps in Chromium: why it failed and what the model said, and the budget, with the keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.accessibility import check
from tests.e2e.console.browser import EXECUTION_PAGE, WIDTHS, browsing, resize
from tests.e2e.console.test_journeys import Clicks
from tests.e2e.processes import CLOSED_BRIEF, Machine, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER = "ruth"
BODY = {"workflow_id": "meeting-minutes", "scope_type": "project", "input": CLOSED_BRIEF}


@pytest.fixture
def page(browser: Browser, shared: Machine) -> Iterator[Page]:
    """A page of a person who is logged in."""
    with browsing(browser) as context:
        context.add_cookies([{"name": "sessionid", "value": shared.session(OWNER), "url": shared.url}])
        yield context.new_page()


def start(machine: Machine, key: str, status: str, **changes: Any) -> str:
    """Start an execution, and wait for a status."""
    with machine.client(OWNER) as client:
        response = client.post("/executions/", json={**BODY, "scope_id": key, **changes})
        assert response.status_code == 201, response.text
        execution_id: str = response.json()["execution_id"]
        wait_for_status(client, execution_id, status)
    return execution_id


def tab_to(page: Page, element_id: str) -> None:
    """Press the tabulator until an element has the focus, and see that the focus is shown."""
    wanted = page.locator(f"#{element_id}")
    for _ in range(60):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            assert wanted.evaluate("element => getComputedStyle(element).outlineStyle") != "none"
            return
    raise AssertionError(f"no way to {element_id} with the keyboard")


def fail(machine: Machine, key: str) -> str:
    """Return an execution whose model never hands in a valid document."""
    return start(machine, key, "failed", dry_run=True, rehearsal={"steps": {"minutes": {"invalid": 10}}}, tags=[key])


@WIDTHS
def test_why_it_failed_and_what_the_model_said_in_three_clicks(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    key = f"why-{width}"
    execution_id = fail(shared, key)
    page.goto(f"{shared.url}/executions/?tag={key}")
    clicks = Clicks()
    clicks.on(page.locator(f'[id="execution-{execution_id}"]').get_by_role("link", name="Meeting minutes"))
    page.wait_for_url(EXECUTION_PAGE)
    clicks.on(page.get_by_role("link", name=re.compile("^Minutes")).first)
    page.wait_for_url(f"**/executions/{execution_id}/steps/minutes/")
    expect(page.locator("#failure")).to_be_visible()
    expect(page.locator(".findings").first).to_contain_text("The rules of the step have found:")
    expect(page.locator("pre.lines mark").first).to_be_visible()
    assert clicks.count <= 3
    check(page, f"step-{width}")

    if width < 700:  # it is folded, so that the reply comes first
        page.get_by_text("Prompt", exact=True).first.click()
    expect(page.get_by_text("Proven: this is the exact prompt.").first).to_be_visible()
    page.get_by_role("link", name="Attempt 1", exact=True).click()
    page.wait_for_url("**/steps/minutes/?attempt=1")
    page.get_by_role("link", name="First version, attempt 1").click()
    page.wait_for_url(f"**/executions/{execution_id}/calls/*/")
    page.get_by_text("Copy as curl").click()
    command = page.get_by_label("Command")
    expect(command).to_have_value(
        re.compile(rf'^curl -H "Authorization: Bearer \$TOKEN" http://.*{execution_id}/calls/')
    )
    expect(page.get_by_role("button", name="Copy", exact=True)).to_be_visible()
    check(page, f"call-{width}")
    page.get_by_role("link", name="minutes", exact=True).click()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="Replies of attempts")).to_be_visible()
    check(page, f"compare-attempts-{width}")


@WIDTHS
def test_calls_are_found_and_filtered(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    execution_id = fail(shared, f"calls-{width}")
    page.goto(f"{shared.url}/executions/{execution_id}/brief/")
    page.get_by_role("link", name="Calls & costs").click()
    rows = page.locator("#call-list tbody tr")
    expect(rows.first).to_contain_text("minutes · correction")
    expect(rows.first.locator(".fault").first).to_be_visible()
    check(page, f"calls-{width}")
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(f"**/executions/{execution_id}/calls/?status=failed#calls")
    expect(page.get_by_text("No call matches.")).to_be_visible()
    page.get_by_role("link", name="Clear").click()
    page.locator("#sums").get_by_role("link", name="Minutes").click()
    page.wait_for_url("**/calls/?step_id=minutes#calls")
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Call of minutes")).to_be_visible()


@WIDTHS
def test_the_budget_is_raised_with_the_keyboard_alone(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    execution_id = start(shared, f"budget-{width}", "waiting", budget={"max_calls": 0})
    page.goto(f"{shared.url}/executions/{execution_id}/calls/")
    expect(page.locator("#blocked")).to_contain_text("The next call is not made")
    check(page)
    calls = page.locator("#limit-max_calls")
    tab_to(page, "limit-max_calls")
    expect(calls).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Enter a number, or choose to remove this limit.")).to_be_visible()
    expect(calls).to_be_focused()
    expect(calls).to_have_accessible_description("Enter a number, or choose to remove this limit.")
    page.keyboard.type("5")
    page.reload()  # what was typed is kept
    expect(calls).to_have_value("5")
    check(page)
    calls.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/executions/{execution_id}/calls/")
    with shared.client(OWNER) as client:
        assert wait_for_status(client, execution_id, "completed")["budget"]["max_calls"] == 5
    expect(page.locator("#line-max_calls")).to_contain_text("of 5")
    expect(page.locator("#call-list tbody tr").first).to_contain_text("committed")  # it follows events
    check(page, f"budget-{width}")
