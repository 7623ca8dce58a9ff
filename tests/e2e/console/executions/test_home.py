"""The first page in Chromium: it leads on, with a keyboard, in both schemes, and follows what happens."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console.accessibility import check
from tests.e2e.console.browser import WIDTHS, browsing, resize
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER = "simon"


@WIDTHS
def test_a_person_sees_what_is_new_and_goes_there(shared: Machine, browser: Browser, width: int) -> None:
    key = f"home-{width}"
    with browsing(browser) as context, shared.client(OWNER) as client:
        context.add_cookies([{"name": "sessionid", "value": shared.session(OWNER), "url": shared.url}])
        page = context.new_page()
        resize(page, width)
        page.goto(f"{shared.url}/costs/")
        page.get_by_role("link", name="Home").press("Enter")
        waits = page.get_by_role("region", name="Waits for me")
        expect(waits).to_be_visible()
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key=key)
        wait_for_status(client, execution_id, "completed")
        assert client.put(f"/scopes/project/{key}/budget", json={"max_cost_usd": "20"}).status_code in {200, 201}
        body = {"workflow_id": "meeting-minutes", "scope_type": "project", "scope_id": key, "input": CLOSED_BRIEF}
        short = client.post("/executions/", json={**body, "budget": {"max_calls": 0}}).json()["execution_id"]
        expect(waits).to_contain_text("budget to raise")  # without a reload
        expect(page.get_by_role("region", name="Last documents")).to_contain_text(key)
        expect(page.get_by_text("worker is alive.")).to_be_visible()
        check(page, f"home-{width}")
        waits.get_by_role("link", name="budget to raise").press("Enter")
        page.wait_for_url("**/inbox/?kind=budget")
        page.go_back()
        page.get_by_role("region", name="Running").get_by_role("link", name="executions run").press("Enter")
        page.wait_for_url("**/executions/?status=running&dry_run=false")
        client.post(f"/executions/{short}/cancel")
