"""The first minutes in Chromium: from the link that the server prints to the documents of the example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console.accessibility import faults_of
from tests.e2e.console.browser import EXECUTION_PAGE, WIDTHS, browsing, resize
from tests.e2e.processes import PASSWORD, Machine, machine, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


@WIDTHS
def test_the_first_account_runs_the_example_in_three_clicks(tmp_path: Path, browser: Browser, width: int) -> None:
    with machine(tmp_path) as empty:
        empty.serve()
        _begin(empty, browser, width)


def _begin(empty: Machine, browser: Browser, width: int) -> None:
    log = next(empty.data_dir.glob("serve-*.log"))
    found = wait_until(lambda: re.search(r"(http\S+/setup/\?key=(\S+))", log.read_text()), what="the link")
    with browsing(browser) as context:
        page = context.new_page()
        resize(page, width)
        page.goto(found[1])  # the first click
        assert page.url == f"{empty.url}/setup/"
        assert faults_of(page) == []
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Create the account").click()
        button = page.get_by_role("button", name="Try the example")
        expect(button).to_be_visible()
        assert faults_of(page) == []
        button.click()
        page.wait_for_url("**/executions/**")
        page.get_by_role("link", name="waits for your answers").click()
        page.get_by_label("introduce a yearly membership fee").check()
        page.get_by_role("button", name="Answer").click()
        page.wait_for_url(EXECUTION_PAGE)
        expect(page.locator("#status")).to_have_text("completed")
        page.get_by_role("link", name="Documents").last.click()
        expect(page.locator("main").get_by_text("prepared", exact=True).first).to_be_visible()
        page.goto(f"{empty.url}/documents/")
        page.get_by_role("link", name="Bergdorf tool library: discovery").click()
        expect(page.get_by_text("An example that was prepared; no model was asked.", exact=True)).to_be_visible()
        expect(page.locator("main")).to_contain_text("340 in 2025")
    with browsing(browser) as another:
        page = another.new_page()
        page.goto(found[1])
        page.wait_for_url("**/login/**")
    assert log.read_text().count(found[2]) == 1  # the line that shows it
