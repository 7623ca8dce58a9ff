"""The library and the reader in Chromium: found by search, read with a keyboard alone, live without loss."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.console.browser import WIDTHS, browsing, resize, wait_in_page
from tests.e2e.console.test_journeys import CHANGED
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER = "libby"


def make_version(machine: Machine) -> None:
    """Have an execution make the next version of the minutes."""
    with machine.client(OWNER) as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key="stacks")
        wait_for_status(client, execution_id, "completed")


@pytest.fixture(scope="module")
def library(shared: Machine) -> Machine:
    """An installation with two versions of a document."""
    make_version(shared)
    make_version(shared)
    return shared


@pytest.fixture
def context(browser: Browser, library: Machine) -> Iterator[BrowserContext]:
    """A browser of a person who is logged in."""
    with browsing(browser) as made:
        made.add_cookies([{"name": "sessionid", "value": library.session(OWNER), "url": library.url}])
        yield made


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator until an element has the focus, and see that the focus is shown."""
    wanted = page.get_by_role("link", name=name, exact=True).first
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            assert wanted.evaluate("element => getComputedStyle(element).outlineStyle") != "none"
            return
    raise AssertionError(f"no way to {name} with the keyboard")


def fits(page: Page) -> bool:
    """Whether the page needs no scrolling sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@WIDTHS
def test_a_document_is_found_and_its_first_version_read_with_a_keyboard_alone(
    library: Machine, page: Page, width: int
) -> None:
    resize(page, width)
    page.goto(f"{library.url}/documents/")
    assert fits(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("branches -nowhere")
    page.keyboard.press("Enter")
    page.wait_for_url("**/documents/?q=branches+-nowhere")  # no empty parameters
    expect(page.locator(".rows > li")).to_have_count(1)
    tab_to(page, page.locator(".rows .name").inner_text())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert fits(page)
    tab_to(page, "Version 1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?v=1")
    expect(page.locator(".top .facts")).to_contain_text("Version 1")
    expect(page.locator("#versions")).to_contain_text("is newer.")
    assert fits(page)
    tab_to(page, "Changes of version 2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Changes from version 1 to 2")
    assert fits(page)


def test_the_text_is_there_without_scripts(library: Machine, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": "sessionid", "value": library.session(OWNER), "url": library.url}])
    page = context.new_page()
    page.goto(f"{library.url}/documents/?q=branches")
    page.locator(".rows .name").click()
    expect(page.locator(".doc-content")).to_contain_text("branches")
    context.close()


@WIDTHS
def test_focus_and_typed_text_survive_an_event(library: Machine, page: Page, width: int) -> None:
    resize(page, width)
    page.goto(f"{library.url}/documents/?scope_type=project&scope_id=stacks")
    search, row = page.get_by_role("searchbox"), page.locator(".rows > li .version")
    expect(row).to_have_count(1)
    before = row.inner_text()
    search.fill("half a sen")
    name = page.locator(".rows .name")
    name.focus()
    make_version(library)
    expect(row).not_to_have_text(before)
    expect(name).to_be_focused()
    expect(search).to_have_value("half a sen")

    name.press("Enter")
    expect(page.locator("#versions .notice")).to_have_count(0)
    page.get_by_role("searchbox").press_sequentially("and then")
    expect(page.locator(".permalink").first).to_be_attached()  # the script of the page has added them
    text = page.locator(".doc-content").text_content()
    make_version(library)
    expect(page.locator("#versions")).to_contain_text("is newer.")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("and then")
    assert page.locator(".doc-content").text_content() == text  # what is being read is not replaced


def test_a_swap_keeps_changed_fields_and_describes_their_faults(library: Machine, page: Page) -> None:
    page.goto(f"{library.url}/documents/")
    fields = '<input id="i" value="{0}" {1}><textarea id="t" {1}>{0}</textarea><input id="u" value="{0}">'
    form = f'<form id="f">{fields}</form>'
    add = "text => document.getElementById('main').insertAdjacentHTML('beforeend', text)"
    page.evaluate(add, form.format("old", ""))
    page.locator("#t").fill("my text")
    page.locator("#i").fill("my value")
    page.locator("body").click(position={"x": 1, "y": 1})
    swap = "text => htmx.swap({ target: document.getElementById('f'), text, swap: 'outerMorph' })"
    page.evaluate(swap, form.format("new", 'aria-invalid="true"'))
    for field, value in (("#i", "my value"), ("#t", "my text")):
        expect(page.locator(field)).to_have_value(value)
        expect(page.locator(field)).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#u")).to_have_value("new")  # it was not changed by the person


def test_filters_suggest_values_when_one_has_the_focus(library: Machine, page: Page) -> None:
    page.goto(f"{library.url}/documents/")
    known = page.locator("#known-scope_id option")
    expect(known).to_have_count(0)
    page.get_by_label("Scope key").focus()
    expect(known).to_have_count(1)
    assert known.get_attribute("value") == "stacks"


def test_a_lost_connection_and_a_lost_session_are_told(library: Machine, context: BrowserContext, page: Page) -> None:
    page.goto(f"{library.url}/documents/")
    expect(page.locator(".rows > li")).not_to_have_count(0)
    notice = page.locator("#connection")
    expect(notice).to_be_hidden()
    context.set_offline(True)
    page.evaluate(CHANGED)
    expect(notice).to_be_visible()
    context.set_offline(False)
    page.evaluate(CHANGED)
    expect(notice).to_be_hidden()

    context.clear_cookies()
    page.evaluate(CHANGED)
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended.")
    expect(page.locator(".rows > li")).not_to_have_count(0)  # the list stays
    page.get_by_role("link", name="Log in again").click()
    page.wait_for_url("**/login/?next=%2Fdocuments%2F")


def test_a_refused_filter_has_the_focus(library: Machine, page: Page) -> None:
    page.goto(f"{library.url}/documents/?type={'x' * 64}")
    field = page.get_by_label("Type", exact=True)
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description("Ensure this value has at most 63 characters (it has 64).")


def test_the_menu_closes_by_escape_and_by_a_click_elsewhere(library: Machine, page: Page) -> None:
    page.goto(f"{library.url}/documents/")
    menu, log_out = page.locator("details.menu"), page.get_by_role("button", name="Log out")
    menu.locator("summary").click()
    expect(log_out).to_be_visible()
    log_out.focus()
    page.keyboard.press("Escape")
    expect(log_out).to_be_hidden()
    expect(menu.locator("summary")).to_be_focused()
    menu.locator("summary").click()
    page.get_by_role("heading", name="Documents").click()
    expect(log_out).to_be_hidden()
    wait_in_page(page, "!document.querySelector('details.menu').open")
