"""What authors do with workflows in Chromium: copy, check, try, publish, start, and write at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.accessibility import faults_of
from tests.e2e.console.browser import EXECUTION_PAGE, browsing
from tests.e2e.console.test_journeys import CHANGED, Clicks
from tests.e2e.processes import Machine

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

AUTHOR, OTHER = "rosa", "simon"
TEXT = "Definition (YAML or JSON)"


@pytest.fixture
def open_page(browser: Browser, shared: Machine) -> Iterator[Callable[[str], Page]]:
    """Opens a browser of a user."""
    with ExitStack() as contexts:

        def opened(name: str) -> Page:
            context = contexts.enter_context(browsing(browser))
            context.add_cookies([{"name": "sessionid", "value": shared.session(name), "url": shared.url}])
            return context.new_page()

        yield opened


def look(page: Page, width: int) -> None:
    """Look for faults of a page at a width: light if it is wide, else dark."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="light" if width > 1000 else "dark")
    assert faults_of(page) == []


def look_in_both(page: Page, width: int) -> None:
    """Look for faults of a page at both widths, and leave it at this one."""
    for each in sorted((1280, 360), key=lambda other: other == width):
        look(page, each)


def change(page: Page, before: str, after: str) -> None:
    """Change the text of the editor."""
    field = page.get_by_label(TEXT)
    text = field.input_value()
    assert before in text
    field.fill(text.replace(before, after))


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def publish(page: Page, workflow_id: str, version: int) -> None:
    """Publish the text of the editor as the next version of a workflow."""
    for act in ("Publish…", f"Publish version {version}"):
        press(page, act)
    page.wait_for_url(f"**/{workflow_id}/?done=published")


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.torture), 360])
def test_an_author_copies_checks_tries_publishes_and_starts(
    shared: Machine, open_page: Callable[[str], Page], width: int
) -> None:
    page, name = open_page(AUTHOR), f"minutes-{width}"
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{shared.url}/workflows/")
    look_in_both(page, width)
    page.get_by_role("link", name="Software delivery", exact=True).click()
    look_in_both(page, width)
    page.go_back()
    page.get_by_role("link", name="Meeting minutes", exact=True).click()
    page.get_by_role("link", name="Copy").click()
    change(page, "role: minute-taker", "role: minute-takr")
    change(page, "id: meeting-minutes-copy", f"id: {name}")

    press(page, "Check")
    fault = page.get_by_role("link", name="Line 15")
    expect(page.get_by_role("heading", name="1 fault")).to_be_visible()
    expect(page.locator("[data-result]")).to_be_focused()
    expect(page.locator(".gutter b")).to_have_text("✗ 15")
    look_in_both(page, width)
    page.get_by_label(TEXT).press("Control+Home")
    page.keyboard.type("# A comment.\n")
    expect(page.locator(".gutter b")).to_have_text("✗ 16")
    page.get_by_role("link", name="Line 16").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label(TEXT)).to_be_focused()
    lines = "(field) => field.value.slice(field.selectionStart, field.selectionEnd)"
    assert page.get_by_label(TEXT).evaluate(lines) == "  role: minute-takr"
    page.keyboard.type("  role: minute-taker")
    expect(fault).to_have_count(0)

    page.get_by_text("Brief and scope of a try").click()
    page.get_by_label("Brief", exact=True).fill("We met. We agreed to meet again.")
    press(page, "Try it")
    page.wait_for_url(EXECUTION_PAGE)
    expect(page.locator("#status")).to_have_text("completed")
    page.go_back()
    expect(page.get_by_text("Your unsaved text is here again.")).to_be_visible()

    clicks = Clicks()
    clicks.on(page.get_by_role("button", name="Publish…"))
    expect(page.get_by_role("heading", name=f"Publish the new workflow “{name}”?")).to_be_visible()
    look_in_both(page, width)
    clicks.on(page.get_by_role("button", name="Publish it"))
    page.wait_for_url(f"**/workflows/{name}/?done=published")
    assert clicks.count <= 6
    look_in_both(page, width)
    clicks.on(page.get_by_role("link", name="Start it"))
    expect(page.locator(f'[name="workflow_id"][value="{name}"]')).to_be_checked()
    page.get_by_label("Scope key").fill(name)
    page.get_by_label("Make this scope").check()
    page.get_by_label("Brief", exact=True).fill("We met.")
    clicks.on(page.get_by_role("button", name="Start", exact=True))
    page.wait_for_url(EXECUTION_PAGE)


def test_of_two_authors_the_second_is_told_and_loses_no_text(shared: Machine, open_page: Callable[[str], Page]) -> None:
    page, other = open_page(AUTHOR), open_page(OTHER)
    for each in (page, other):
        each.goto(f"{shared.url}/workflows/vendor-assessment/edit/")
    change(page, "name: Vendor assessment", "name: Vendor check")
    change(other, "name: Vendor assessment", "name: Vendor audit")
    publish(other, "vendor-assessment", 2)
    page.evaluate(CHANGED)
    expect(page.locator("#newer")).to_contain_text("simon has published version 2")
    expect(page.get_by_label(TEXT)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="The workflow has changed meanwhile")).to_be_visible()
    assert "name: Vendor check" in page.get_by_label(TEXT).input_value()
    expect(page.locator(".moved ins")).to_contain_text("audit")
    for width in (1280, 360):
        look(page, width)
    publish(page, "vendor-assessment", 3)
    page.get_by_role("link", name="Changes of version 3").click()
    expect(page.locator("ins").first).to_contain_text("check")
    look(page, 360)
    page.go_back()
    page.get_by_role("link", name="Version 1", exact=True).click()
    press(page, "Make version 1 the current one")
    expect(page.get_by_text("Version 1 is the current one now.")).to_be_visible()
    page.get_by_text("Retire this workflow").click()
    press(page, "Retire")
    page.wait_for_url("**/vendor-assessment/?done=retired")
    look(page, 360)
    press(page, "Bring it back")
    expect(page.get_by_text("The workflow is back.")).to_be_visible()


def test_what_is_typed_in_another_tab_stays_when_this_one_is_published(
    shared: Machine, open_page: Callable[[str], Page]
) -> None:
    page = open_page(AUTHOR)
    another = page.context.new_page()
    for each in (page, another):
        each.goto(f"{shared.url}/workflows/meeting-minutes/edit/")
    change(page, "name: Meeting minutes", "name: Minutes of one tab")
    change(another, "name: Meeting minutes", "name: Minutes of another")
    publish(page, "meeting-minutes", 2)
    another.reload()
    expect(another.get_by_role("heading", name="The workflow has changed meanwhile")).to_be_visible()
    assert "name: Minutes of another" in another.get_by_label(TEXT).input_value()
    another.close()
    page.get_by_role("link", name="Version 1", exact=True).click()
    press(page, "Make version 1 the current one")  # other tests start it
    expect(page.get_by_text("Version 1 is the current one now.")).to_be_visible()
