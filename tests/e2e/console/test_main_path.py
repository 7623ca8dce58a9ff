"""The main path of a person in Chromium, on the real server and real PostgreSQL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.browser import EXECUTION_PAGE, browsing, choose_workflow, enter, log_in, name_scope
from tests.e2e.processes import ROOT, Machine

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a browser of its own."""
    with browsing(browser) as context:
        yield context.new_page()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: SCREENSHOT_DIR keeps them."""
    folder = Path(os.environ.get("SCREENSHOT_DIR", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_person_starts_an_execution_watches_it_answers_and_reads(fresh: Machine, page: Page, pictures: Path) -> None:
    fresh.serve("--no-worker")
    log_in(page, fresh, "ada")
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "strategy-document")
    name_scope(page, "tool-library")
    brief = (
        ROOT / "examples" / "briefs" / "tool-library.md"
    ).read_bytes() + b"\nMs Yilmaz decides.\n"  # none is prepared
    page.get_by_label("Load the brief from a file").set_input_files(
        {"name": "tool-library.md", "mimeType": "text/markdown", "buffer": brief}
    )
    page.get_by_role("button", name="Start", exact=True).click()

    # The page is not reloaded until the question is answered: the stream tells what changes.
    discovery = page.locator(".step[data-step=discovery]")
    expect(discovery).to_have_attribute("data-status", "pending")
    fresh.start("worker", REHEARSAL_LATENCY_SECONDS="3")
    expect(discovery).to_have_attribute("data-status", "running")
    page.screenshot(path=pictures / "running.png", full_page=True)
    expect(page.locator("#waits")).to_contain_text("1 thing waits for you")
    expect(page.locator("#status")).to_have_text("waiting")
    page.screenshot(path=pictures / "waiting.png", full_page=True)

    page.get_by_role("link", name="Answer:").click()
    question = page.locator("form.answers")
    question.get_by_role("button", name="Answer").click()
    expect(question.get_by_text("This question needs an answer.").first).to_be_visible()
    question.get_by_label("introduce a yearly membership fee").check()
    question.locator("textarea").fill("Ninety days after the return <b>at most</b>")
    question.get_by_role("button", name="Answer").click()
    page.wait_for_url(EXECUTION_PAGE)  # the way back

    expect(page.locator("#status")).to_have_text("completed")
    expect(page.locator(".step[data-status=completed]")).to_have_count(4)
    expect(page.locator("a.node[data-status=completed], g.node[data-status=completed]")).to_have_count(4)
    page.screenshot(path=pictures / "finished.png", full_page=True)
    page.get_by_role("link", name="Documents", exact=True).last.click()
    made = page.locator("#made li")
    expect(made).to_have_count(4)
    expect(made.first).to_contain_text("rehearsal")
    with page.expect_download() as download:
        page.locator("#downloads").get_by_role("link", name="Word").click()
    assert download.value.suggested_filename == "Strategy-document-tool-library.docx"
    made.first.get_by_role("link").click()
    expect(page.locator(".doc-content")).to_contain_text("Bergdorf")
    expect(page.locator(".doc-content")).to_contain_text("<b>at most</b>")  # what was typed is text, not markup


@pytest.mark.torture
def test_a_cancel_shows_at_once(fresh: Machine, page: Page) -> None:
    fresh.serve(REHEARSAL_LATENCY_SECONDS="60")
    enter(page, fresh, "ada")
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "meeting-minutes")
    name_scope(page, "weekly")
    page.get_by_label("Brief", exact=True).fill("We met. We agreed to meet again.")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".step[data-status=running]")).to_be_visible()
    page.locator("#cancel-menu summary").click()
    page.get_by_role("button", name="Cancel the execution").click()
    expect(page.locator("#status")).to_have_text("cancelled")


def test_a_person_has_epics_worked_over_accepts_them_and_retries_what_was_stopped(
    shared: Machine, page: Page, pictures: Path
) -> None:
    enter(page, shared, "grace")
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "software-delivery")
    name_scope(page, "decided")
    page.get_by_label("Brief", exact=True).fill("The city lends 400 tools from 3 branches. The budget is 20,000 EUR.")
    page.get_by_role("button", name="Start", exact=True).click()

    page.wait_for_url(EXECUTION_PAGE)
    execution = page.url
    page.get_by_role("link", name="Decide:").click()
    decision = page.locator("form.decision")
    decision.get_by_role("button", name="Request changes").click()
    expect(decision.get_by_text("Describe the changes, here or at passages.")).to_be_visible()
    decision.get_by_label("Comment", exact=False).first.fill("The warehouse of <i>Oberdorf</i> comes first.")
    decision.get_by_role("button", name="Request changes").click()
    page.wait_for_url(execution)
    epics = page.locator("#step-epics")
    expect(epics).to_contain_text("v2")
    expect(epics).to_contain_text("waits for a decision")
    page.get_by_role("link", name="Decide:").click()
    expect(page.get_by_text("grace asked for changes")).to_be_visible()
    expect(page.locator(".material")).to_contain_text("Oberdorf")
    with page.expect_navigation(url=execution):
        page.get_by_role("button", name="Accept", exact=True).click()

    waits = page.locator("#step-architecture [data-count=waiting]")
    expect(waits).to_have_text("4 waiting")  # one for the design of each epic
    page.screenshot(path=pictures / "deciding.png", full_page=True)
    page.locator("#cancel-menu summary").click()
    page.get_by_role("button", name="Cancel the execution").click()
    expect(page.locator("#status")).to_have_text("cancelled")
    expect(page.locator("#waits")).to_contain_text("Nothing waits for you")
    page.get_by_role("link", name="Retry …").click()
    page.get_by_role("button", name="Retry").click()
    page.wait_for_url(execution)
    page.locator("#to-architecture").click()
    expect(page.locator("#listed input[type=checkbox]")).to_have_count(4)
    page.get_by_role("button", name="Choose all").click()
    page.get_by_role("button", name="Accept the chosen").click()  # the documents of all items at once
    expect(page.locator("#listed .badge[data-status=completed]")).to_have_count(4)
    page.screenshot(path=pictures / "items.png", full_page=True)
    page.goto(execution)
    expect(page.locator("#status")).to_have_text("completed")
    expect(page.locator("#step-test-plan")).to_contain_text("items done")
    expect(page.locator("#step-test-plan")).to_have_attribute("data-status", "completed")


def test_a_page_says_what_was_wrong_with_what_a_model_wrote(shared: Machine, page: Page, pictures: Path) -> None:
    enter(page, shared, "joan")
    body = {
        **{"workflow_id": "meeting-minutes", "scope_type": "project", "scope_id": "wrong-output", "input": "We met."},
        **{"dry_run": True, "rehearsal": {"steps": {"minutes": {"invalid": 3}}}},
    }
    with shared.client("joan") as client:
        execution_id = client.post("/executions/", json=body).json()["execution_id"]
    page.goto(f"{shared.url}/executions/{execution_id}/")

    expect(page.locator("#status")).to_have_text("failed")
    step = page.locator(".step[data-step=minutes]")
    expect(step.get_by_role("list", name="Errors of the output")).to_contain_text("required")
    expect(step).to_contain_text("attempt 3")
    page.screenshot(path=pictures / "wrong.png", full_page=True)


@pytest.mark.torture
def test_a_dry_run_cannot_be_mistaken(shared: Machine, page: Page) -> None:
    enter(page, shared, "hedy")
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "strategy-document")
    name_scope(page, "tried")
    page.get_by_label("Brief", exact=True).fill("# Ferry\n\nIt is open who decides.")
    page.get_by_text("Try it without paying").click()
    page.get_by_label("Dry run").check()
    page.get_by_role("button", name="Start", exact=True).click()

    expect(page.locator("#dry-run")).to_contain_text("Dry run. A rehearsal model replaces all models")
    expect(page.locator(".facts .tag.dry")).to_have_text("dry run")
    expect(page.locator("#waits")).to_contain_text("1 thing waits for you")
    expect(page).to_have_title(re.compile("^Dry run · waiting"))
    page.get_by_role("link", name="Inbox").click()
    page.get_by_role("link", name="show them").click()
    expect(page.locator("#entries .tag")).to_have_text("dry run")
    page.get_by_role("link", name="Executions").first.click()
    expect(page.locator("#listed tr", has_text="tried").locator(".tag.dry")).to_have_text("dry run")


def test_a_person_raises_a_budget_and_the_work_goes_on(shared: Machine, page: Page, pictures: Path) -> None:
    enter(page, shared, "mary")
    scope = {"scope_type": "project", "scope_id": "scarce", "workflow_id": "meeting-minutes"}
    brief = "We met on Monday. Ann writes the report by Friday."
    with shared.client("mary") as client:
        answer = client.post("/executions/", json={**scope, "input": brief, "budget": {"max_calls": 0}})
    page.goto(f"{shared.url}/executions/{answer.json()['execution_id']}/")

    expect(page.locator("#waits")).to_contain_text("1 thing waits for you")
    page.get_by_role("link", name="Raise the budget", exact=True).click()
    form = page.locator("form.answers")
    form.get_by_label("Calls").fill("many")
    form.get_by_role("button", name="Raise the budget").click()
    expect(form.get_by_label("Calls")).to_be_focused()
    expect(form).to_contain_text("Enter a whole number, in digits alone.")
    page.screenshot(path=pictures / "budget.png", full_page=True)
    form.get_by_label("Calls").fill("20")
    form.get_by_role("button", name="Raise the budget").click()
    page.wait_for_url(EXECUTION_PAGE)  # the way back
    expect(page.locator("#status")).to_have_text("completed")
    expect(page.locator("#waits")).to_contain_text("Nothing waits for you")
