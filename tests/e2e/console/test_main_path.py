"""The main path of a person in Chromium, on the real server and real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.browser import browsing, choose_workflow, enter, log_in, name_scope
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

    # The page is not reloaded from here on: its content comes over the stream.
    discovery = page.locator(".step[data-step=discovery]")
    expect(discovery).to_have_attribute("data-status", "pending")
    fresh.start("worker", REHEARSAL_LATENCY_SECONDS="3")
    expect(discovery).to_have_attribute("data-status", "running")
    page.screenshot(path=pictures / "running.png", full_page=True)
    question = page.locator("form.questions")
    expect(question).to_be_visible()
    expect(page.locator("#status")).to_have_text("waiting")
    page.screenshot(path=pictures / "waiting.png", full_page=True)

    question.get_by_role("button", name="Answer").click()
    expect(question.get_by_text("This question needs an answer.").first).to_be_visible()
    question.get_by_label("introduce a yearly membership fee").check()
    question.locator("textarea").fill("Ninety days after the return <b>at most</b>")
    question.get_by_role("button", name="Answer").click()

    expect(page.locator("#status")).to_have_text("completed")
    expect(page.locator(".step[data-status=completed]")).to_have_count(4)
    expect(page.locator("details.document")).to_have_count(4)
    first = page.locator("details.document").first
    expect(first).to_contain_text("Bergdorf")
    expect(first).to_contain_text("<b>at most</b>")  # what was typed is text, not markup
    expect(first).to_contain_text("rehearsal")
    with page.expect_download() as download:
        page.locator("#downloads").get_by_role("link", name="Word").click()
    assert download.value.suggested_filename == "Strategy-document-tool-library.docx"
    expect(page.locator("#costs tr.sum")).to_contain_text("5")
    page.screenshot(path=pictures / "finished.png", full_page=True)

    calls = page.locator("#costs tr.call:visible")
    expect(calls).to_have_count(0)
    page.locator("#costs").get_by_role("button", name="discovery", exact=True).click()
    expect(calls).to_have_count(2)  # the one that asked, and the one that knew the answers
    page.screenshot(path=pictures / "calls.png", full_page=True)
    calls.last.get_by_role("button", name="Prompt:").click()
    asked = page.get_by_role("dialog", name="Prompt of discovery")
    expect(asked).to_contain_text("This is the exact prompt")
    expect(asked).to_contain_text("Ninety days after the return <b>at most</b>")
    page.screenshot(path=pictures / "asked.png")
    asked.get_by_role("button", name="Close").click()
    expect(asked).to_have_count(0)


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
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
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

    decision = page.locator("form.acceptance")
    expect(decision).to_have_count(1)
    decision.get_by_role("button", name="Request changes").click()
    expect(decision.get_by_text("Describe the changes.")).to_be_visible()
    decision.get_by_label("Comment").fill("The warehouse of <i>Oberdorf</i> comes first.")
    decision.get_by_role("button", name="Request changes").click()
    expect(decision.get_by_text("sent back by grace")).to_be_visible()
    decision.get_by_role("link").first.click()
    expect(page.locator("details.document[open]", has_text="Oberdorf").last).to_be_visible()
    decision.get_by_role("button", name="Accept").click()

    expect(decision).not_to_have_count(1)  # one for the design of each epic
    page.screenshot(path=pictures / "deciding.png", full_page=True)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_have_text("cancelled")
    expect(decision).to_have_count(0)
    page.get_by_role("button", name="Retry").click()
    completed = page.locator("#status", has_text="completed")
    while not completed.is_visible():
        expect(decision.or_(completed).first).to_be_visible()
        if decision.count():  # others may follow: only this one has to go
            form = decision.first.element_handle()
            button = form.query_selector("button:has-text('Accept')")
            assert button is not None
            button.click()
            page.wait_for_function("form => !form.isConnected", arg=form)
    expect(page.locator(".step[data-step=test-plan]")).to_contain_text("done")


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
    page.locator("#costs").get_by_role("button", name="minutes", exact=True).click()
    expect(page.locator("#costs tr.call:visible")).to_have_count(3)
    page.locator("#costs").get_by_role("button", name="minutes, remediate, attempt 3").click()
    expect(page.get_by_role("dialog")).to_contain_text("required")
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

    expect(page.get_by_role("note")).to_contain_text("Dry run. A rehearsal model replaces all models")
    expect(page.locator("#facts .tag.dry")).to_have_text("dry run")
    expect(page.locator("form.questions")).to_be_visible()
    assert page.title().startswith("Dry run · waiting")
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

    form = page.locator("form.budget")
    expect(form).to_contain_text("Limit reached: Max calls")
    expect(page.locator("tr[data-limit=max_calls]")).to_contain_text("Calls")
    form.get_by_label("Calls").fill("many")
    form.get_by_role("button", name="Raise the budget").click()
    expect(form.get_by_role("alert")).to_contain_text("Calls: A valid integer is required.")
    page.screenshot(path=pictures / "budget.png", full_page=True)
    form.get_by_label("Calls").fill("20")
    form.get_by_role("button", name="Raise the budget").click()
    expect(page.locator("#status")).to_have_text("completed")
    expect(form).to_have_count(0)
    expect(page.locator("tr[data-limit=max_calls]")).to_contain_text("20")
