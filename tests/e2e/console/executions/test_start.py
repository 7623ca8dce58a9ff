"""The form that starts an execution, in Chromium: the way of a person, and what is not lost before scripts have run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.console.accessibility import check
from tests.e2e.console.browser import EXECUTION_PAGE, WIDTHS, browsing, choose_workflow, name_scope, resize
from tests.e2e.processes import CLOSED_BRIEF, PASSWORD, Machine, start_execution, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER = "simon"
SCRIPTS = "**/console/*.js"
EARLY = "console/early.js"


@pytest.fixture
def page(browser: Browser, shared: Machine) -> Iterator[Page]:
    """A page of a person who is logged in."""
    with browsing(browser) as context:
        context.add_cookies([{"name": "sessionid", "value": shared.session(OWNER), "url": shared.url}])
        yield context.new_page()


@WIDTHS
def test_a_brief_of_ones_own_with_a_file_takes_four_clicks(
    shared: Machine, page: Page, width: int, tmp_path: Path
) -> None:
    key, file = f"ferry-{width}", tmp_path / "notes.md"
    file.write_text("# Notes\n\nWe met on Monday.", encoding="utf-8")
    with shared.client(OWNER) as client:
        wait_for_status(
            client, start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key=key), "completed"
        )
    resize(page, width)
    page.goto(f"{shared.url}/")
    page.get_by_role("link", name="Start an execution").first.click()  # 1
    check(page, f"start-empty-{width}")
    page.locator("label", has=page.locator("#workflow-meeting-minutes")).click()  # 2
    page.get_by_label("Scope", exact=True).select_option(f"project/{key}")
    page.get_by_label("Brief", exact=True).fill(CLOSED_BRIEF)
    with page.expect_file_chooser() as choosing:
        page.get_by_label("Add files").click()  # 3
    choosing.value.set_files(file)
    expect(page.locator("#attached li")).to_contain_text("characters")
    expect(page.locator("#start-expected")).to_contain_text("Expected cost")
    check(page, f"start-filled-{width}")
    page.get_by_role("button", name="Start", exact=True).click()  # 4
    page.wait_for_url(EXECUTION_PAGE)
    with shared.client(OWNER) as client:
        found = client.get(f"/executions/{page.url.split('/')[-2]}").json()
    assert (found["scope_id"], len(found["input"]["files"]), found["input"]["text"]) == (key, 1, CLOSED_BRIEF)


def test_a_new_scope_is_made_by_the_keyboard_alone_and_refusals_take_the_focus(shared: Machine, page: Page) -> None:
    with shared.client(OWNER) as client:
        start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key="ferry-town")
    page.goto(f"{shared.url}/executions/new/")
    page.locator("#send-start").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#id_workflow_id_error")).to_have_text("Choose a workflow.")
    expect(page.locator("#workflow-meeting-minutes, #workflow-software-delivery").first).to_be_visible()
    assert page.evaluate("document.activeElement.name") == "workflow_id"
    page.locator("#workflow-meeting-minutes").focus()
    page.keyboard.press("Space")
    for text in ("", "", "Ferry Town!", CLOSED_BRIEF):  # the choice of a scope, its type, its key, the brief
        page.keyboard.press("Tab")
        if text:
            page.keyboard.insert_text(text)
    expect(page.locator("#scope-is-new")).to_contain_text("This makes a new scope “Ferry Town!” (project)")
    expect(page.locator("#scope-is-new")).to_contain_text("Or do you mean “ferry-town”?")
    page.locator("#send-start").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#id_scope_id_error")).to_contain_text("You know no scope “Ferry Town!”")
    expect(page.get_by_label("Scope key")).to_be_focused()
    check(page, "start-refused")
    tick = page.get_by_label("Make this scope")
    tick.focus()
    page.keyboard.press("Space")
    page.locator("#send-start").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(EXECUTION_PAGE)


def test_a_tick_is_for_one_name_alone(shared: Machine, page: Page) -> None:
    with shared.client(OWNER) as client:
        start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key="ticked")
    page.goto(f"{shared.url}/executions/new/")
    name_scope(page, "one-name")
    tick = page.get_by_label("Make this scope")
    page.get_by_label("Brief", exact=True).fill("Half a")
    expect(tick).to_be_checked()
    page.get_by_label("Scope key").fill("another-name")
    expect(page.locator("#scope-is-new")).to_contain_text("another-name")
    expect(tick).not_to_be_checked()


def test_what_shall_go_wrong_is_chosen_for_each_step(shared: Machine, page: Page) -> None:
    page.goto(f"{shared.url}/executions/new/?workflow=meeting-minutes")
    page.get_by_text("Try it without paying").click()
    page.get_by_label("Dry run").check()
    choose_workflow(page, "strategy-document")
    expect(page.locator("#start-script tbody tr")).not_to_have_count(1)
    choose_workflow(page, "meeting-minutes")
    expect(page.locator("#start-script tbody tr")).to_have_count(1)
    page.locator("#start-script select").select_option("always_invalid")
    name_scope(page, "goes-wrong")
    page.get_by_label("Brief", exact=True).fill(CLOSED_BRIEF)
    expect(page.locator("#start-expected")).to_contain_text("A dry run costs nothing.")
    check(page, "start-dry-run")
    page.reload()
    expect(page.locator("#start-script select")).to_have_value("always_invalid")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(EXECUTION_PAGE)
    with shared.client(OWNER) as client:
        failed = wait_for_status(client, page.url.split("/")[-2], "failed")
    assert failed["dry_run"]


# --- before scripts have run ------------------------------------------------------------------------------------------


class Held:
    """The scripts of a page, but for the early one, until they are let go."""

    def __init__(self, page: Page) -> None:
        self.routes: list[Route] = []
        self.is_free = False
        page.route(SCRIPTS, self._take)

    def _take(self, route: Route) -> None:
        if self.is_free or EARLY in route.request.url:
            route.continue_()
        else:
            self.routes.append(route)

    def let_go(self) -> None:
        """Load them."""
        self.is_free = True
        for route in self.routes:
            route.continue_()


def log_in_again(page: Page) -> None:
    page.get_by_role("link", name="Log in again").first.click()
    page.wait_for_url("**/login/**")
    page.get_by_label("Name").fill(OWNER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_a_form_that_is_sent_before_scripts_have_run_keeps_its_brief_when_the_session_has_ended(
    shared: Machine, page: Page
) -> None:
    held = Held(page)
    page.goto(f"{shared.url}/executions/new/", wait_until="commit")
    choose_workflow(page, "meeting-minutes")
    page.get_by_label("Scope key").fill("early")
    page.get_by_label("Brief", exact=True).fill(CLOSED_BRIEF)
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Start", exact=True).click(no_wait_after=True)
    assert page.evaluate("document.readyState") == "interactive"
    held.let_go()
    expect(page.locator("#faults")).to_contain_text("Your session has ended. Nothing was stored.")
    log_in_again(page)
    expect(page.get_by_label("Brief", exact=True)).to_have_value(CLOSED_BRIEF)
    expect(page.get_by_label("Scope key")).to_have_value("early")
    expect(page.locator("#workflow-meeting-minutes")).to_be_checked()


def test_what_is_typed_and_chosen_before_scripts_have_run_is_kept(shared: Machine, page: Page, tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    file.write_text("# Notes", encoding="utf-8")
    page.goto(f"{shared.url}/executions/new/")
    page.get_by_label("Brief", exact=True).fill("Typed on an earlier day.")
    held = Held(page)
    page.reload(wait_until="commit")
    page.get_by_label("Scope key").fill("early")
    page.get_by_label("Add files").set_input_files(file)
    page.get_by_label("Load the brief from a file").set_input_files(file)
    held.let_go()
    expect(page.get_by_label("Brief", exact=True)).to_have_value("Typed on an earlier day.\n\n# Notes")
    expect(page.locator("#attached li")).to_contain_text("characters")
    expect(page.get_by_label("Scope key")).to_have_value("early")
    page.reload()
    expect(page.get_by_label("Brief", exact=True)).to_have_value("Typed on an earlier day.\n\n# Notes")
    expect(page.locator("#attached li")).to_have_count(1)
    expect(page.get_by_label("Scope key")).to_have_value("early")
