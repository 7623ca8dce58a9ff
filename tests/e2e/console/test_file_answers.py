"""A question that a file answers, in the API and in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console.browser import EXECUTION_PAGE, browsing, enter
from tests.e2e.processes import CLOSED_BRIEF, Machine, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

ASK = {"text": "Where is the plan?", "answer_type": "file"}
PLAN = "Lend 412 tools from three branches."
KEY = "discovery.1.1"


def asking(client: Any, key: str) -> str:
    """Start a dry run whose first step asks for a file; return its id."""
    body = {"workflow_id": "strategy-document", "scope_type": "project", "scope_id": key, "input": CLOSED_BRIEF}
    script = {"steps": {"discovery": {"ask": [ASK]}}}
    started = client.post("/executions/", json={**body, "dry_run": True, "rehearsal": script}).json()
    wait_for_status(client, started["execution_id"], "waiting")
    return str(started["execution_id"])


def prompt(client: Any, execution_id: str) -> str:
    """Return the prompt of the step that has asked, after the end of the execution."""
    wait_for_status(client, execution_id, "completed")
    shown = client.get(f"/executions/{execution_id}/steps/discovery/prompt").json()
    assert (shown["exact"], shown["attachments"]) == (True, [])
    return str(shown["prompt"])


def test_the_next_prompt_has_the_text_of_the_file_that_was_uploaded_and_answered(shared: Machine) -> None:
    with shared.client("ida") as client:
        execution_id = asking(client, "a file over HTTP")
        file = client.post("/files", files={"file": ("plan.txt", PLAN)}).json()
        path = f"/executions/{execution_id}/steps/discovery/clarification"
        refused = client.post(path, json={"answers": {KEY: "plan.txt"}})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/answers/{KEY}")
        assert client.post(path, json={"answers": {KEY: file["id"]}}).status_code == 200
        sent = prompt(client, execution_id)
    assert f'<data kind="file" name="plan.txt">\n[plan.txt#lines=1]\n{PLAN}\n</data>' in sent
    assert "The file plan.txt, which is shown above." in sent


def test_the_form_uploads_the_file_and_answers(shared: Machine, browser: Browser, tmp_path: Path) -> None:
    empty, plan = tmp_path / "empty.txt", tmp_path / "plan.txt"
    empty.write_text("")
    plan.write_text(PLAN)
    with shared.client("ida") as client, browsing(browser) as context:
        execution_id = asking(client, "a file in a form")
        page = context.new_page()
        enter(page, shared, "ida")
        page.goto(f"{shared.url}/executions/{execution_id}/")
        page.get_by_role("link", name="Answer:").click()
        form = page.locator("form.answers")
        button = form.get_by_role("button", name="Answer")
        button.click()
        expect(form.get_by_text("This question needs an answer.")).to_be_visible()
        form.get_by_label(ASK["text"]).set_input_files(empty)
        expect(page.locator("#faults")).to_contain_text("“empty.txt” is empty.")
        form.get_by_label(ASK["text"]).set_input_files(plan)
        expect(form.get_by_text("plan.txt is uploaded.")).to_be_visible()
        button.click()
        page.wait_for_url(EXECUTION_PAGE)
        assert PLAN in prompt(client, execution_id)
