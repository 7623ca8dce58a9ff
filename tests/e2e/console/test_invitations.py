"""An invitation in Chromium: a person without an account follows the link, and no log has its secret."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console.browser import browsing
from tests.e2e.processes import PASSWORD, Machine

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def test_a_person_without_an_account_follows_the_link_and_comes_in(shared: Machine, browser: Browser) -> None:
    note = {"scope_type": "project", "scope_id": "of-hedy", "type": "note", "title": "A note", "content": "One."}
    with shared.client("hedy") as client:
        assert client.post("/documents/", json=note).status_code == 201
        made = client.post("/scopes/project/of-hedy/invitations", json={"role": "reviewer"}).json()
    token = made["url"].rstrip("/").rpartition("/")[2]
    with browsing(browser) as context:
        page = context.new_page()
        page.set_viewport_size({"width": 360, "height": 740})
        page.goto(made["url"])
        assert page.url == f"{shared.url}/invitations/"
        expect(page.get_by_text("hedy invites you to project of-hedy as reviewer.")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        new = page.locator("form", has=page.get_by_label("Password again"))
        new.get_by_label("Name").fill("newcomer")
        new.get_by_label("Password", exact=True).fill(PASSWORD)
        new.get_by_label("Password again").fill(PASSWORD)
        new.get_by_role("button").click()
        page.wait_for_url("**/scopes/**/?joined=")
        scopes = page.evaluate("fetch('/api/v1/scopes/').then(response => response.json())")["data"]
        assert [(each["scope_id"], each["role"]) for each in scopes] == [("of-hedy", "reviewer")]
        page.goto(made["url"])
        page.wait_for_url("**/scopes/**/?joined=")  # it was this person
    with browsing(browser) as another:
        page = another.new_page()
        page.goto(made["url"])
        expect(page.get_by_text("This invitation has been used.")).to_be_visible()
    logs = "".join(path.read_text() for path in shared.data_dir.glob("*.log"))
    assert "/invitations/" in logs
    assert token not in logs
