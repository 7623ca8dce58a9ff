"""What people do with executions that follow others: reuse what is current, make again what is stale, compare two."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.accessibility import too_wide
from tests.e2e.console.browser import EXECUTION_PAGE, WIDTHS, browsing, choose_workflow, resize
from tests.e2e.console.test_journeys import Clicks
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER = "nora"


@pytest.fixture
def page(browser: Browser, shared: Machine) -> Iterator[Page]:
    """A page of a person who is logged in."""
    with browsing(browser) as context:
        context.add_cookies([{"name": "sessionid", "value": shared.session(OWNER), "url": shared.url}])
        yield context.new_page()


def run(machine: Machine, key: str, workflow_id: str = "vendor-assessment") -> dict[str, str]:
    """Run a workflow to its end; return the ids of its documents by type."""
    with machine.client(OWNER) as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id=workflow_id, key=key)
        wait_for_status(client, execution_id, "completed")
        steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
        return {each["produces"]: each["document"]["id"] for each in steps}


@WIDTHS
def test_an_execution_is_started_with_what_is_current(shared: Machine, page: Page, width: int) -> None:
    key = f"reused-{width}"
    run(shared, key, "meeting-minutes")
    resize(page, width)
    page.goto(f"{shared.url}/executions/")
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "meeting-minutes")
    choice = page.get_by_label("Use what is current in this scope")
    page.get_by_label("Scope key").fill("without-documents")
    page.get_by_label("Brief", exact=True).fill(CLOSED_BRIEF)
    expect(choice).to_be_hidden()
    page.get_by_label("Scope", exact=True).select_option(f"project/{key}")
    expect(choice).to_be_visible()
    expect(choice).not_to_be_checked()
    expect(choice).to_have_accessible_description(re.compile("is completed with it, at no cost"))
    choice.check()
    expected = page.locator("#start-expected")
    expect(expected).to_contain_text("It reuses Minutes. No other step runs. Expected cost: $0.")
    page.get_by_label("Brief", exact=True).fill("")
    expect(expected).to_contain_text("Write the brief: then the expected cost stands here.")
    page.get_by_label("Brief", exact=True).fill("We met on Tuesday, too.")
    expect(expected).to_contain_text("It reuses nothing. It makes 1 step anew: Minutes.")
    page.get_by_text("Try it without paying").click()
    page.get_by_label("Dry run").check()
    expect(choice).to_be_hidden()  # a dry run makes everything
    page.get_by_label("Dry run").uncheck()
    page.reload()
    expect(choice).to_be_checked()  # it is kept as what is typed
    page.get_by_label("Brief", exact=True).fill(CLOSED_BRIEF)
    assert too_wide(page) == []
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(EXECUTION_PAGE)
    expect(page.locator("#status")).to_have_text("completed")
    with shared.client(OWNER) as client:
        path = f"/executions/{page.url.split('/')[-2]}"
        assert client.get(path).json()["reuse"] == "current"
        assert client.get(f"/telemetry{path}/costs").json()["total"]["calls"] == 0


def test_a_choice_that_is_hidden_is_not_sent(shared: Machine, page: Page) -> None:
    run(shared, "chosen", "meeting-minutes")
    with shared.client(OWNER) as client:  # a scope without documents
        body = {"workflow_id": "meeting-minutes", "scope_type": "project", "scope_id": "not-chosen"}
        client.post("/executions/", json={**body, "input": CLOSED_BRIEF, "budget": {"max_calls": 0}})
    page.goto(f"{shared.url}/executions/")
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "meeting-minutes")
    page.get_by_label("Brief", exact=True).fill(CLOSED_BRIEF)
    page.get_by_label("Scope", exact=True).select_option("project/chosen")
    choice = page.get_by_label("Use what is current in this scope")
    choice.check()
    page.get_by_label("Scope", exact=True).select_option(
        "project/not-chosen"
    )  # and at once, before the page looks there
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(EXECUTION_PAGE)
    with shared.client(OWNER) as client:
        assert client.get(f"/executions/{page.url.split('/')[-2]}").json()["reuse"] == "none"


@WIDTHS
def test_a_stale_document_is_made_again_and_compared(shared: Machine, page: Page, width: int) -> None:
    key = f"stale-{width}"
    ids = run(shared, key)
    kinds = [*ids]
    with shared.client(OWNER) as client:
        first = client.get(f"/documents/{ids[kinds[0]]}").json()
        content = {**first["content"], "title": "Edited by a person"}
        path = f"/documents/{ids[kinds[0]]}"
        assert client.put(path, json={"content": content}, headers={"If-Match": '"1"'}).status_code == 200
    resize(page, width)
    page.goto(f"{shared.url}/documents/{ids[kinds[-1]]}/")
    clicks = Clicks()
    why = page.get_by_role("region", name="Why it is stale")
    expect(why).to_contain_text("stale")
    assert too_wide(page) == []
    clicks.on(why.get_by_role("link", name="Make again"))
    expect(page.get_by_text("It reuses")).to_be_visible()
    expect(page.get_by_text("Its expected cost: $0")).to_be_visible()
    assert too_wide(page) == []
    clicks.on(page.get_by_role("button", name="Make again"))
    page.wait_for_url(EXECUTION_PAGE)
    expect(page.locator("#status")).to_have_text("completed")
    clicks.on(page.get_by_role("link", name="Compare with …"))
    assert clicks.count <= 4
    expect(page.get_by_role("heading", level=1)).to_contain_text("Two executions of")
    expect(page.locator(".sides tbody tr")).to_have_count(len(kinds) + 1)
    assert too_wide(page) == []
    page.get_by_role("link", name="Show the changes").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Changes from version 1 to 2")
    page.goto(f"{shared.url}/documents/{ids[kinds[-1]]}/")
    expect(page.locator("#versions")).to_be_visible()
    expect(why).to_have_count(0)


def test_the_page_of_an_erased_execution_says_so_and_offers_nothing_of_it(shared: Machine, page: Page) -> None:
    with shared.client(OWNER) as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key="erased")
        wait_for_status(client, execution_id, "completed")
        assert client.delete(f"/executions/{execution_id}").status_code == 204
    page.goto(f"{shared.url}/executions/{execution_id}/")
    expect(page.get_by_text("What people and models wrote here was erased")).to_be_visible()
    page.locator("#tab-documents").click()
    expect(page.locator("#made li")).to_contain_text("erased")
    expect(page.locator("#downloads")).to_have_count(0)
    expect(page.get_by_role("alert").filter(has_text="failed")).to_have_count(0)
