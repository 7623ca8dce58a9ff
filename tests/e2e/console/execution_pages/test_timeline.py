"""The timeline of an execution in Chromium: to scale, by items, live, and its log, with a keyboard, in both schemes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.accessibility import check
from tests.e2e.console.browser import WIDTHS, browsing, resize
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER = "tim"


@pytest.fixture
def page(browser: Browser, shared: Machine) -> Iterator[Page]:
    """A page of a person who is logged in."""
    with browsing(browser) as context:
        context.add_cookies([{"name": "sessionid", "value": shared.session(OWNER), "url": shared.url}])
        yield context.new_page()


def decide(machine: Machine, execution_id: str, step_id: str, **decision: Any) -> None:
    with machine.client(OWNER) as client:
        path = f"/executions/{execution_id}/steps/{step_id}/acceptance"
        assert client.post(path, json=decision).status_code == 200
        wait_for_status(client, execution_id, "waiting")


@WIDTHS
def test_a_person_sees_what_took_long_and_what_people_said(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    with shared.client(OWNER) as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="software-delivery", key=f"times-{width}")
        wait_for_status(client, execution_id, "waiting")
    page.goto(f"{shared.url}/executions/{execution_id}/brief/")
    page.get_by_role("navigation", name="Parts of the execution").get_by_role("link", name="Timeline").press("Enter")
    times, log = page.get_by_role("region", name="Times"), page.get_by_role("region", name="Log")
    expect(times.locator('[id="row-epics"]')).to_contain_text("waits for a decision since")
    expect(times.locator('[id="row-architecture"]')).to_contain_text("Its items are not known yet.")

    decide(shared, execution_id, "epics", decision="request_changes", document_version=1, comment="Counter first.")
    expect(log).to_contain_text(f"{OWNER} sent Epics version 1 back: Counter first.")  # without a reload
    expect(times.locator('[id="row-epics"]')).to_contain_text("sent back once")
    decide(shared, execution_id, "epics", decision="accept", document_version=2)
    fold = page.locator('[id="fold-architecture"]')
    expect(fold).to_have_attribute("aria-expanded", "false")
    check(page, f"timeline-{width}")

    fold.press("Enter")
    expect(page.get_by_role("list", name="Items of Architecture").get_by_role("listitem").first).to_contain_text(
        "waits for a decision"
    )
    page.get_by_text("As a table").click()
    expect(page.get_by_role("cell", name="waiting for people").first).to_be_visible()
    check(page, f"timeline-items-{width}")

    page.get_by_role("navigation", name="Events of the log").get_by_role("link", name="People").press("Enter")
    page.wait_for_url("**/timeline/?items=architecture&log=people#log")
    expect(log.get_by_role("listitem").last).to_contain_text(f"{OWNER} started software-delivery version 1")
    log.get_by_role("link", name="What changed from 1 to 2").press("Enter")
    page.wait_for_url("**/compare/?a=1&b=2")

    page.goto(f"{shared.url}/executions/{execution_id}/brief/")
    said = page.get_by_role("article", name="Epics")
    expect(said.get_by_role("listitem").first).to_contain_text(f"{OWNER} sent back version 1")
    expect(said.get_by_text("Counter first.")).to_be_visible()
    check(page, f"decisions-{width}")


@WIDTHS
def test_answers_come_to_the_brief_without_a_reload(shared: Machine, page: Page, width: int, brief: str) -> None:
    resize(page, width)
    with shared.client(OWNER) as client:
        execution_id = start_execution(client, brief, key=f"answers-{width}")
        wait_for_status(client, execution_id, "waiting")
        page.goto(f"{shared.url}/executions/{execution_id}/brief/")
        said = page.get_by_role("region", name="Answers and decisions")
        expect(said.get_by_text("no answer yet").first).to_be_visible()
        check(page, f"questions-{width}")
        steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
        asking = next(each for each in steps if each["clarification"])
        answers = {each["id"]: _answer(each) for each in asking["clarification"]["questions"]}
        path = f"/executions/{execution_id}/steps/{asking['step_id']}/clarification"
        assert client.post(path, json={"answers": answers}).status_code == 200
    expect(said.get_by_text(f"{OWNER} answered")).to_be_visible()
    expect(said.get_by_text("no answer yet")).to_have_count(0)
    check(page, f"answers-{width}")
    page.get_by_role("link", name="Start again with changes").focus()
    expect(page.get_by_role("link", name="Start again with changes")).to_be_focused()


def _answer(question: dict[str, Any]) -> Any:
    if question["choices"]:
        chosen = question["choices"][0]["value"]
        return [chosen] if question["answer_type"] == "multi_choice" else chosen
    return {"yes_no": True, "number": question["minimum"] or 3, "date": "2026-12-24"}.get(
        question["answer_type"], "The city council decides.\nIt meets in March."
    )
