"""The page of open questions in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console.browser import browsing, enter
from tests.e2e.processes import Machine, start_execution, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

BRIEF = (
    "# Ferry\n\nThe town runs one ferry, and the budget is 20,000 EUR. It is undecided how many boats are bought. "
    "The date of the launch is still open."
)


def test_a_person_answers_on_the_page_of_open_questions(shared: Machine, browser: Browser) -> None:
    with shared.client("ida") as client, browsing(browser) as context:
        execution_id = start_execution(client, BRIEF, key="ferry")
        wait_for_status(client, execution_id, "waiting")
        page = context.new_page()
        enter(page, shared, "ida")
        page.get_by_role("link", name="Inbox").click()

        form = page.locator("form.questions")
        number, day = form.locator("input[type=number]"), form.locator("input[type=date]")
        expect(number).to_have_attribute("min", "0")
        expect(form.get_by_text("at least 0")).to_be_visible()
        number.fill("-1")
        day.fill("2027-04-01")
        form.get_by_role("button", name="Answer").click()
        expect(form.get_by_text("Expected a number: at least 0.")).to_be_visible()
        number.fill("2")
        form.get_by_role("button", name="Answer").click()

        expect(page.get_by_text("The inbox is empty.")).to_be_visible()
        expect(form).to_have_count(0)
        shown = client.get(f"/executions/{execution_id}/steps").json()["data"][0]["clarification"]
        assert (sorted(map(str, shown["answers"].values())), shown["answered_by"]) == (["2", "2027-04-01"], "ida")
