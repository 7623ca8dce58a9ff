"""The inbox in Chromium: a reviewer settles what waits, with few clicks, with a keyboard, and without loss."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.accessibility import faults_of, too_wide
from tests.e2e.console.browser import WIDTHS, browsing, enter
from tests.e2e.processes import CLOSED_BRIEF, PASSWORD, Machine, start_execution, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

BRIEF = (
    "# Ferry\n\nThe town runs one ferry, and the budget is 20,000 EUR. It is undecided how many boats are bought. "
    "The date of the launch is still open."
)
OWNER = "ida"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a browser of its own."""
    with browsing(browser) as context:
        yield context.new_page()


def waiting(
    machine: Machine, key: str, brief: str = BRIEF, workflow_id: str | None = None, *, owner: str = OWNER
) -> str:
    """Start an execution of the owner that waits."""
    with machine.client(owner) as client:
        named = {} if workflow_id is None else {"workflow_id": workflow_id}
        execution_id = start_execution(client, brief, key=key, **named)
        wait_for_status(client, execution_id, "waiting")
    return execution_id


def invite(page: Page, machine: Machine, key: str) -> str:
    """Have the owner make an invitation as reviewer; return its link."""
    enter(page, machine, OWNER)
    page.get_by_role("link", name="Scopes").click()  # 1
    page.get_by_role("link", name=f"People of {key}").click()  # 2
    page.get_by_role("button", name="Make the link").click()  # 3
    return page.get_by_label("Link of the invitation").input_value()


def come_in(page: Page, link: str, name: str) -> None:
    """Have a person without an account follow an invitation."""
    page.goto(link)
    new = page.locator("form", has=page.get_by_label("Password again"))
    new.get_by_label("Name").fill(name)
    new.get_by_label("Password", exact=True).fill(PASSWORD)
    new.get_by_label("Password again").fill(PASSWORD)
    new.get_by_role("button").click()
    page.wait_for_url("**/scopes/**/?joined=")


def picture(page: Page, name: str) -> None:
    """Keep a picture of the page where SCREENSHOT_DIR says."""
    if folder := os.environ.get("SCREENSHOT_DIR"):
        page.screenshot(path=Path(folder) / f"inbox-{name}.png", full_page=True)


def test_input_survives_a_reload_after_a_form_was_sent_before_the_scripts_came(shared: Machine, page: Page) -> None:
    asks = waiting(shared, "slow-scripts")
    enter(page, shared, OWNER)
    page.route("**/static/**/*.js", lambda route: None)  # they do not come before the form is sent
    page.goto(f"{shared.url}/inbox/{asks}/question/discovery/", wait_until="commit")
    number = page.locator("form.answers input[inputmode=decimal]")
    number.fill("-1")
    with page.expect_request(lambda sent: sent.method == "POST" and sent.is_navigation_request()):
        number.press("Enter")
    page.unroute("**/static/**/*.js")
    expect(page.get_by_text("Expected a number: at least 0.")).to_be_visible()
    page.wait_for_load_state("load")
    number.fill("2")
    page.reload()
    expect(number).to_have_value("2")
    with shared.client(OWNER) as client:
        client.post(f"/executions/{asks}/cancel")


@WIDTHS
def test_an_owner_invites_a_reviewer_who_settles_a_question_and_a_decision(
    shared: Machine, browser: Browser, page: Page, width: int
) -> None:
    key, name = f"quay-{width}", f"ferdinand-{width}"
    asks = waiting(shared, key)
    decides = waiting(shared, key, CLOSED_BRIEF, "software-delivery")
    with browsing(browser) as of_owner:
        owner = of_owner.new_page()
        owner.set_viewport_size({"width": width, "height": 900})
        link = invite(owner, shared, key)  # three clicks
    page.set_viewport_size({"width": width, "height": 900})
    come_in(page, link, name)
    schemes: tuple[Literal["light", "dark"], ...] = ("dark", "light")
    menu = page.get_by_role("navigation", name="Main")
    menu.get_by_role("link", name="Inbox").click()  # at most four clicks to settle both: 1
    if width < 700:  # the list alone
        page.locator("#entries .question a").click()  # 2
    form = page.locator("form.answers")
    number, day = form.locator("input[inputmode=decimal]"), form.locator("input[type=date]")
    expect(form.get_by_text("at least 0")).to_be_visible()
    number.fill("-1")
    day.fill("2027-04-01")
    number.press("Enter")
    expect(form.get_by_text("Expected a number: at least 0.")).to_be_visible()
    expect(form.locator("input[inputmode=decimal]")).to_be_focused()
    found: dict[str, list[str]] = {}
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        found[f"question {scheme}"] = faults_of(page)
        picture(page, f"list-{width}-{scheme}")
    form.locator("input[inputmode=decimal]").fill("2")
    page.reload()
    expect(form.locator("input[inputmode=decimal]")).to_have_value("2")
    page.get_by_role("button", name="Answer").click()  # 3
    page.wait_for_url("**/acceptance/**")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        found[f"decision {scheme}"] = faults_of(page)
        picture(page, f"decision-{width}-{scheme}")
    with page.expect_response(lambda told: told.request.method == "POST" and told.status == 204):
        page.get_by_role("button", name="Accept", exact=True).click()  # 4
    assert {name: faults for name, faults in found.items() if faults} == {}
    with shared.client(OWNER) as client:
        shown = client.get(f"/executions/{asks}/steps").json()["data"][0]["clarification"]
        assert (sorted(map(str, shown["answers"].values())), shown["answered_by"]) == (["2", "2027-04-01"], name)
        steps: list[dict[str, Any]] = client.get(f"/executions/{decides}/steps").json()["data"]
        decided = [made for each in steps if each["acceptance"] for made in each["acceptance"]["decisions"]]
        assert [(made["decision"], made["decided_by"]) for made in decided] == [("accept", name)]
        client.post(f"/executions/{decides}/cancel")
        client.post(f"/executions/{asks}/cancel")


def test_what_another_person_settles_stays_with_the_typed_text(shared: Machine, page: Page) -> None:
    first, second = (waiting(shared, key, owner="otto") for key in ("pier-a", "pier-b"))
    page.context.add_cookies([{"name": "sessionid", "value": shared.session("otto"), "url": shared.url}])
    page.goto(f"{shared.url}/inbox/?scope_type=project")
    rows = page.locator("#entries li")
    expect(rows).to_have_count(2)
    expect(page.locator("#waiting-count")).to_have_text("2 waiting")
    page.keyboard.press("j")
    expect(rows.nth(1).get_by_role("link")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/inbox/{second}/**")
    field = page.locator("form.answers input[inputmode=decimal]")
    field.fill("12")
    with shared.client("otto") as client:
        steps = client.get(f"/executions/{second}/steps").json()["data"]
        [step] = [each for each in steps if each["clarification"]]
        kinds = {"number": 1, "date": "2027-04-01", "free_text": "Yes."}
        asked = step["clarification"]["questions"]
        answers = {each["id"]: kinds[each["answer_type"]] for each in asked}
        path = f"/executions/{second}/steps/{step['step_id']}/clarification"
        assert client.post(path, json={"answers": answers}).status_code == 200
    expect(page.locator("#state")).to_contain_text("otto has answered")  # the stream tells, within a second
    expect(rows.nth(1)).to_contain_text("Settled")
    expect(field).to_have_value("12")
    expect(field).to_be_focused()
    expect(page.get_by_role("button", name="Answer")).to_be_hidden()
    expect(page.get_by_role("button", name="Copy my text")).to_be_visible()
    expect(page.locator("#waiting-count")).to_have_text("1 waiting")
    picture(page, "settled")
    assert faults_of(page) == []
    page.reload()
    expect(field).to_have_value("12")
    page.set_viewport_size({"width": 360, "height": 740})
    picture(page, "settled-360")
    assert too_wide(page) == []
    page.get_by_role("button", name="Discard it").click()
    expect(field).to_have_count(0)
    with shared.client("otto") as client:
        client.post(f"/executions/{first}/cancel")
        client.post(f"/executions/{second}/cancel")
