"""An owner's errands in Chromium: inviting a reviewer, changing the role, making and revoking a token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.console.accessibility import faults_of
from tests.e2e.console.browser import WIDTHS, browsing, wait_in_page
from tests.e2e.processes import Machine

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER, OTHER = "vera", "pia"
SCHEMES = ("light", "dark")
#: Follows a stream with a token, into `window.followed`.
FOLLOW = """token => {
    window.followed = "";
    fetch("/api/v1/inbox/stream", { headers: { Authorization: `Bearer ${token}` }, credentials: "omit" })
        .then(({ body }) => body.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({
            write: (text) => { window.followed += text; },
            close: () => { window.followed += "the end"; },
        })));
}"""


@pytest.fixture
def context(browser: Browser, shared: Machine) -> Iterator[BrowserContext]:
    """A browser of the owner."""
    with browsing(browser) as made:
        made.add_cookies([{"name": "sessionid", "value": shared.session(OWNER), "url": shared.url}])
        yield made


def check(page: Page) -> None:
    """Check a page in both schemes."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        assert faults_of(page) == []


@WIDTHS
def test_an_owner_invites_and_changes_a_role(shared: Machine, context: BrowserContext, width: int) -> None:
    key = f"errands-{width}"
    note = {"scope_type": "project", "scope_id": key, "type": "note", "title": "A note", "content": "One."}
    with shared.client(OWNER) as client:
        assert client.post("/documents/", json=note).status_code == 201
        place = f"/scopes/project/{key}/roles"
        assert client.put(f"{place}/{OTHER}", json={"role": "viewer"}).status_code == 201
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{shared.url}/documents/")

    page.get_by_role("link", name="Scopes").click()  # three clicks to an invitation: one,
    check(page)
    page.get_by_role("link", name=f"People of {key}").click()  # two,
    page.get_by_role("button", name="Make the link").click()  # three
    link = page.get_by_label("Link of the invitation")
    expect(link).to_have_value(f"{shared.url}/invitations/" + link.input_value().rpartition("/invitations/")[2])
    expect(page.locator("[data-told]")).to_be_focused()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    check(page)

    role = page.get_by_label(f"Role of {OTHER}", exact=True)
    role.select_option("operator")
    page.get_by_role("button", name=f"Change the role of {OTHER}").press("Enter")
    expect(page.locator("[data-told]")).to_have_text(f"{OTHER} is operator now.")
    expect(role).to_have_value("operator")
    page.get_by_role("button", name=f"Remove {OWNER}").click()
    expect(page.get_by_label(f"Role of {OWNER}", exact=True)).to_be_focused()
    expect(page.get_by_text("This is the last owner of the scope")).to_be_visible()
    check(page)
    with shared.client(OTHER) as client:
        assert client.get(f"/scopes/project/{key}").json()["role"] == "operator"

    page.get_by_role("link", name="Overview").click()
    expect(page.locator("#newest")).to_contain_text("gave a role")
    expect(page.locator("#waiting")).to_contain_text("Nothing in this scope waits for you.")
    page.get_by_label("Budget of each month in US dollars").fill("20")
    page.get_by_role("button", name="Set the budget").click()
    expect(page.locator("#budget")).to_contain_text("of $20.00")
    check(page)
    page.get_by_role("navigation", name="Scope").get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("list", name="Acts")).to_contain_text("changed the budget of a scope")
    check(page)


@WIDTHS
def test_a_token_is_made_used_and_revoked(shared: Machine, context: BrowserContext, width: int) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{shared.url}/account/")
    name = page.locator("#token_name")
    name.fill("half a na")
    page.reload()
    expect(name).to_have_value("half a na")  # the browser has kept it
    name.fill("")
    page.get_by_role("button", name="Make the token").click()
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description("Such as the program that uses the token. This field is required.")
    name.fill(f"nightly {width}")
    page.get_by_label("Operate").check()
    check(page)
    page.get_by_role("button", name="Make the token").click()
    secret = page.get_by_label("New token").input_value()
    expect(page.locator("[data-told]").first).to_be_focused()
    check(page)
    call = "token => fetch('/api/v1/me', { headers: { Authorization: `Bearer ${token}` }, credentials: 'omit' })"
    status = f"async token => (await ({call})(token)).status"
    assert page.evaluate(status, secret) == 200
    page.evaluate(FOLLOW, secret)
    wait_in_page(page, "window.followed.includes('event:')")
    page.get_by_role("button", name=f"Revoke nightly {width}").click()
    expect(page.get_by_text("The token was revoked.")).to_be_visible()
    assert page.evaluate(status, secret) == 401
    wait_in_page(page, "window.followed.endsWith('the end')")
    expect(page.get_by_label("New token")).to_have_count(0)


def test_a_page_that_a_role_does_not_open_says_whom_to_ask(shared: Machine, browser: Browser) -> None:
    note = {"scope_type": "project", "scope_id": "closed", "type": "note", "title": "A note", "content": "One."}
    with shared.client(OWNER) as client:
        assert client.post("/documents/", json=note).status_code == 201
        assert client.put(f"/scopes/project/closed/roles/{OTHER}", json={"role": "viewer"}).status_code == 201
    with browsing(browser) as context:
        context.add_cookies([{"name": "sessionid", "value": shared.session(OTHER), "url": shared.url}])
        page = context.new_page()
        page.goto(f"{shared.url}/scopes/-/people/project/closed/")
        expect(page.get_by_role("heading", level=1)).to_have_text("You may not do this")
        expect(page.get_by_text("Ask an owner of the scope for the role owner:")).to_be_visible()
        expect(page.get_by_role("listitem").filter(has_text=OWNER)).to_be_visible()
        page.get_by_role("link", name="Your scopes").click()
        expect(page.get_by_role("list", name="Scopes")).to_contain_text("closed")
        expect(page.get_by_role("link", name="People")).to_have_count(0)
