"""The console in Chromium on the real server: starts, texts, focus and messages are not lost."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.e2e.console.browser import EXECUTION_PAGE, browsing, choose_workflow, enter, log_in, name_scope
from tests.e2e.processes import CLOSED_BRIEF, PASSWORD, Machine, start_execution, wait_for_status, wait_until
from tests.support.waiting import HANG_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

TORTURE = pytest.mark.torture

OPEN_BRIEF = "# Ferry\n\nThe town runs one ferry. It is undecided how many boats are bought, and who decides."
START = re.compile(r"/executions/new/$")
HALF = "Half a sentence about"
REFRESH = 10_000  # milliseconds by which the clock of a page is advanced, so that it reads again what it shows


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of its own."""
    with browsing(browser) as opened:
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page in it."""
    return context.new_page()


def fill_in(page: Page, key: str, brief: str = CLOSED_BRIEF) -> Locator:
    """Open the form that starts an execution, fill it in, and return its button."""
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "meeting-minutes")
    name_scope(page, key)
    page.get_by_label("Brief", exact=True).fill(brief)
    return page.get_by_role("button", name="Start", exact=True)


def fill_in_again(page: Page, key: str) -> Locator:
    """Fill the form in for a scope that is there already, and return its button."""
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "meeting-minutes")
    page.get_by_label("Scope", exact=True).select_option(f"project/{key}")
    page.get_by_label("Brief", exact=True).fill(CLOSED_BRIEF)
    return page.get_by_role("button", name="Start", exact=True)


def started(client: httpx.Client, key: str) -> list[str]:
    found = client.get("/executions/", params={"scope_type": "project", "scope_id": key}).json()["data"]
    return [each["execution_id"] for each in found]


def waiting(client: httpx.Client, key: str, workflow_id: str = "strategy-document") -> str:
    """Return an execution whose first step asks."""
    execution_id = start_execution(client, OPEN_BRIEF, key=key, workflow_id=workflow_id)
    wait_for_status(client, execution_id, "waiting")
    return execution_id


def answer(client: httpx.Client, execution_id: str) -> None:
    """Answer what an execution asks."""
    [step] = [each for each in client.get(f"/executions/{execution_id}/steps").json()["data"] if each["clarification"]]
    kinds: dict[str, Any] = {"number": 2, "date": "2027-04-01", "yes_no": True, "free_text": "Ms Ode"}
    answers = {
        each["id"]: kinds.get(each["answer_type"], each["choices"][0]["value"] if each["choices"] else None)
        for each in step["clarification"]["questions"]
    }
    response = client.post(
        f"/executions/{execution_id}/steps/{step['step_id']}/clarification", json={"answers": answers}
    )
    assert response.status_code == 200, response.text


def opened(page: Page, machine: Machine, execution_id: str) -> None:
    page.goto(f"{machine.url}/executions/{execution_id}/")
    expect(page.locator("#status")).to_be_visible()


# --- one start --------------------------------------------------------------------------------------------------------


def test_a_double_click_starts_one_execution(shared: Machine, page: Page) -> None:
    enter(page, shared, "dora")
    fill_in(page, "double").dblclick()
    page.wait_for_url(EXECUTION_PAGE)
    with shared.client("dora") as client:
        assert len(started(client, "double")) == 1


@pytest.mark.torture
def test_the_button_is_off_while_a_start_is_sent(shared: Machine, page: Page) -> None:
    held: list[Route] = []
    enter(page, shared, "dora")
    button = fill_in(page, "held")
    page.route(START, lambda route: held.append(route))
    button.click()
    expect(page.locator("#starting[inert]")).to_have_count(1)
    page.locator("#start-form").evaluate("form => form.requestSubmit()")
    wait_until(lambda: page.evaluate("1") and held, what="the request")
    [only] = held
    only.continue_()
    page.wait_for_url(EXECUTION_PAGE)


@pytest.mark.parametrize(
    "reloaded", [pytest.param(False, id="at once", marks=TORTURE), pytest.param(True, id="after a reload")]
)
def test_a_start_without_an_answer_that_is_sent_again_starts_one(shared: Machine, page: Page, reloaded: bool) -> None:
    key = f"lost-{reloaded}".lower()

    def lose(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    enter(page, shared, "dora")
    button = fill_in(page, key)
    page.route(START, lose, times=1)
    button.click()
    expect(page.locator("#faults")).to_contain_text("The server is not reachable. Send it again")
    expect(page.locator("#starting[inert]")).to_have_count(0)
    if reloaded:
        page.reload()
        expect(page.get_by_label("Brief", exact=True)).to_have_value(CLOSED_BRIEF)
    button.click()
    page.wait_for_url(EXECUTION_PAGE)
    with shared.client("dora") as client:
        [only] = started(client, key)
    assert page.url.endswith(f"/executions/{only}/")
    page.get_by_role("link", name="Executions").first.click()
    fill_in_again(page, key).click()  # a form that is shown anew is another start
    page.wait_for_url(EXECUTION_PAGE)
    with shared.client("dora") as client:
        assert len(started(client, key)) == 2


@pytest.mark.torture
def test_a_start_that_is_sent_again_with_other_values_is_told_apart(shared: Machine, page: Page) -> None:
    def lose(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    enter(page, shared, "dora")
    button = fill_in(page, "changed")
    page.route(START, lose, times=1)
    button.click()
    expect(page.locator("#faults")).to_contain_text("The server is not reachable.")
    page.get_by_label("Brief", exact=True).fill("Another brief, of another meeting.")
    button.click()
    expect(page.locator("#start-form")).to_contain_text("has already started an execution")
    with shared.client("dora") as client:
        assert len(started(client, "changed")) == 1
        button.click()
        page.wait_for_url(EXECUTION_PAGE)
        assert len(started(client, "changed")) == 2


# --- the inbox --------------------------------------------------------------------------------------------------------


def test_the_inbox_holds_decisions_and_budgets_and_is_counted(shared: Machine, page: Page) -> None:
    with shared.client("paul") as client:
        decision = start_execution(client, CLOSED_BRIEF, workflow_id="software-delivery", key="paul-decides")
        body = {"workflow_id": "meeting-minutes", "scope_type": "project", "scope_id": "paul-pays"}
        short = client.post("/executions/", json={**body, "input": CLOSED_BRIEF, "budget": {"max_calls": 0}}).json()
        for each in (decision, short["execution_id"]):
            wait_for_status(client, each, "waiting")
        question = waiting(client, "paul-answers")
        enter(page, shared, "paul")
        count = page.locator("#waiting-count")
        expect(count).to_have_text("3 waiting")
        page.get_by_role("link", name="Inbox").click()
        rows = page.locator("#entries li")
        expect(rows).to_have_count(3)
        assert [each.partition(" ")[0] for each in page.locator("#entries .kind").all_inner_texts()].count(
            "Budget"
        ) == 1
        page.locator("#entries .budget a").click()
        page.wait_for_url("**/budget/**")
        page.get_by_label("Calls").fill("20")
        page.get_by_role("button", name="Raise the budget").click()
        expect(rows).to_have_count(2)
        page.locator("#entries .acceptance a").click()
        page.wait_for_url("**/acceptance/**")
        with page.expect_response(lambda told: told.request.method == "POST" and told.status == 204):
            page.get_by_role("button", name="Accept", exact=True).click()
        client.post(f"/executions/{decision}/cancel")
        client.post(f"/executions/{question}/cancel")
        expect(count).to_have_text("")  # the stream of the inbox tells
        page.get_by_role("link", name="Inbox").click()
        expect(page.get_by_text("The inbox is empty.")).to_be_visible()


# --- what went wrong --------------------------------------------------------------------------------------------------


@pytest.mark.torture
def test_a_deferred_step_says_when_it_goes_on_and_why_it_waits(shared: Machine, page: Page) -> None:
    with shared.client("pia") as client:
        body = {
            "workflow_id": "meeting-minutes",
            "scope_type": "project",
            "scope_id": "deferred",
            "input": CLOSED_BRIEF,
        }
        script = {"dry_run": True, "rehearsal": {"latency_seconds": 60}}
        execution_id = client.post("/executions/", json={**body, **script}).json()["execution_id"]
        execution = wait_for_status(client, execution_id, "waiting")
        [step, *_] = client.get(f"/executions/{execution_id}/steps").json()["data"]
        assert step["resume_at"] == execution["resume_at"]
        enter(page, shared, "pia")
        opened(page, shared, execution_id)
        card = page.locator(f"#step-{step['step_id']}")
        expect(card).to_contain_text("waits for a provider until")
        expect(card).to_contain_text("the script of this dry run delays it")
        client.post(f"/executions/{execution_id}/cancel")
        expect(card).not_to_contain_text("waits for a provider")
        expect(card).not_to_contain_text("delays it")


def press_cancel(page: Page) -> None:
    """Cancel the execution of a page."""
    page.locator("#cancel-menu summary").click()
    page.get_by_role("button", name="Cancel the execution").click()


def test_a_viewer_is_offered_no_act_and_a_refusal_stays_until_it_is_read(shared: Machine, page: Page) -> None:
    with shared.client("vera") as client:
        execution_id = waiting(client, "of-vera")
        role = "/scopes/project/of-vera/roles/will"
        assert client.put(role, json={"role": "operator"}).status_code == 201
        enter(page, shared, "will")
        opened(page, shared, execution_id)
        expect(page.locator("#waits")).to_contain_text("1 thing waits for you")
        page.route("**/parts/**", lambda route: route.abort())  # the page does not learn of the other role
        assert client.put(role, json={"role": "viewer"}).status_code == 200
        press_cancel(page)
        fault = page.locator("#faults")
        expect(fault).to_contain_text("This needs the role operator in the scope. Your role is viewer.")
        page.unroute("**/parts/**")
        answer(client, execution_id)
        expect(page.locator("#status")).to_have_text("completed")  # after many events
        expect(fault).to_contain_text("Your role is viewer.")
        fault.get_by_role("button", name="Dismiss").click()
        expect(fault).to_be_empty()
        another = waiting(client, "of-vera")
        opened(page, shared, another)
        expect(page.locator("#step-discovery")).to_be_visible()
        expect(page.locator("#cancel-menu")).to_have_count(0)
        expect(page.locator("#waits")).to_contain_text("Nothing waits for you")
        expect(page.locator("#waits-others")).to_contain_text("1 step waits for answers")
        client.post(f"/executions/{another}/cancel")


def test_what_fails_without_a_connection_says_so(shared: Machine, page: Page) -> None:
    with shared.client("otto") as client:
        execution_id = waiting(client, "of-otto")
    enter(page, shared, "otto")
    page.get_by_label("Choose Strategy document, of-otto").check()
    fault = page.locator("#faults")
    page.context.set_offline(True)
    page.get_by_role("button", name="Cancel the chosen").click()
    expect(fault).to_contain_text("The server is not reachable. Send it again when the connection is back")
    expect(page.locator("#connection")).to_be_visible(timeout=HANG_SECONDS * 1000)
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_be_hidden(timeout=HANG_SECONDS * 1000)
    expect(fault.locator("p")).to_have_count(1)

    button = fill_in(page, "offline")
    page.context.set_offline(True)
    button.click()
    expect(fault).to_contain_text("The server is not reachable. Send it again when the connection is back")
    expect(page.get_by_label("Brief", exact=True)).to_have_value(CLOSED_BRIEF)
    page.context.set_offline(False)

    opened(page, shared, execution_id)
    page.context.set_offline(True)
    press_cancel(page)
    expect(fault).to_contain_text("The server is not reachable. Send it again when the connection is back")
    expect(page.locator("#connection")).to_be_visible(timeout=HANG_SECONDS * 1000)
    page.context.set_offline(False)
    with shared.client("otto") as client:
        client.post(f"/executions/{execution_id}/cancel")
    expect(page.locator("#status")).to_have_text("cancelled")
    expect(page.locator("#connection")).to_be_hidden()
    expect(fault).to_contain_text("The server is not reachable.")


def test_answers_that_are_sent_without_a_connection_stay(shared: Machine, page: Page) -> None:
    with shared.client("otto") as client:
        execution_id = waiting(client, "otto-answers")
        enter(page, shared, "otto")
        opened(page, shared, execution_id)
        page.get_by_role("link", name="Answer:").click()
        field = page.locator("form.answers").locator("textarea, input[inputmode=decimal]").first
        field.fill("12")
        page.context.set_offline(True)
        page.get_by_role("button", name="Answer").click()
        expect(page.locator("#faults")).to_contain_text("The server is not reachable.")
        expect(field).to_have_value("12")
        page.context.set_offline(False)
        client.post(f"/executions/{execution_id}/cancel")


# --- what stays while the page changes --------------------------------------------------------------------------------


def focus(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.localName"))


@pytest.mark.parametrize(
    "held",
    [
        "#made-epics",
        pytest.param("#node-architecture", marks=TORTURE),
        pytest.param("#tab-documents", marks=TORTURE),
        pytest.param("#canvas", marks=TORTURE),
        pytest.param("#cancel-menu summary", marks=TORTURE),
    ],
)
def test_the_focus_stays_while_events_come(shared: Machine, page: Page, held: str) -> None:
    with shared.client("fay") as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="software-delivery", key="of-fay")
        wait_for_status(client, execution_id, "waiting")
        enter(page, shared, "fay")
        opened(page, shared, execution_id)
        place = page.locator(held).first
        expect(place).to_be_visible(timeout=HANG_SECONDS * 1000)
        place.focus()
        page.evaluate("window.held = document.activeElement")
        [step] = [
            each for each in client.get(f"/executions/{execution_id}/steps").json()["data"]
            if each["acceptance"] and each["acceptance"]["needed"]
        ]  # fmt: skip
        path = f"/executions/{execution_id}/steps/{step['step_id']}/acceptance"
        client.post(path, json={"decision": "accept", "document_version": step["document"]["version"]})
        expect(page.locator("#step-architecture [data-count=waiting]")).to_have_text("4 waiting")
        assert page.evaluate("window.held === document.activeElement && window.held.isConnected")


@pytest.mark.torture
def test_a_budget_that_is_being_written_stays_when_it_is_raised(shared: Machine, page: Page) -> None:
    body = {"workflow_id": "strategy-document", "scope_type": "project", "scope_id": "tess-pays", "input": CLOSED_BRIEF}
    with shared.client("tess") as client:
        execution_id = client.post("/executions/", json={**body, "budget": {"max_calls": 0}}).json()["execution_id"]
        wait_for_status(client, execution_id, "waiting")
        enter(page, shared, "tess")
        opened(page, shared, execution_id)
        page.get_by_role("link", name="Raise the budget", exact=True).click()
        page.get_by_label("Calls").fill("37")
        client.patch(f"/executions/{execution_id}/budget", json={"max_calls": 9})
        expect(page.locator("#state")).to_contain_text("What you have typed is kept, and was not sent.")
        expect(page.get_by_label("Calls")).to_have_value("37")


# --- the session ends -------------------------------------------------------------------------------------------------


def log_in_again(page: Page, name: str, landing: str) -> None:
    page.wait_for_url("**/login/**")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(landing)


def lose_session(page: Page) -> None:
    page.context.clear_cookies(name="sessionid")


def kept(page: Page) -> list[str]:
    found: list[str] = page.evaluate("Object.keys(localStorage)")
    return found


START_PAGE = "**/executions/new/"


def log_out(page: Page) -> None:
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Log out").click()


def test_a_brief_is_kept_when_the_session_ends(shared: Machine, page: Page) -> None:
    log_in(page, shared, "nora")
    button = fill_in(page, "of-nora", OPEN_BRIEF)
    lose_session(page)
    button.click()
    expect(page.locator("#faults")).to_contain_text("Your session has ended. Nothing was stored.")
    page.get_by_role("link", name="Log in again").first.click()
    log_in_again(page, "nora", START_PAGE)
    expect(page.get_by_label("Brief", exact=True)).to_have_value(OPEN_BRIEF)
    expect(page.get_by_label("Scope key")).to_have_value("of-nora")
    expect(page.locator("#workflow-meeting-minutes")).to_be_checked()
    button.click()
    page.wait_for_url(EXECUTION_PAGE)
    assert kept(page) == []


@TORTURE
def test_a_text_that_was_not_sent_is_shown_to_its_user_alone(shared: Machine, page: Page) -> None:
    log_in(page, shared, "nora")
    shared.token("mia")
    fill_in(page, "of-nora", "A secret of Nora.")
    lose_session(page)
    page.reload()
    log_in_again(page, "mia", START_PAGE)
    expect(page.locator("#start-form")).to_be_visible()
    expect(page.get_by_label("Brief", exact=True)).to_have_value("")
    expect(page.get_by_label("Scope key")).to_have_value("")
    log_out(page)
    page.goto(f"{shared.url}/executions/new/")
    log_in_again(page, "nora", START_PAGE)
    expect(page.get_by_label("Brief", exact=True)).to_have_value("A secret of Nora.")
    log_out(page)
    page.wait_for_url("**/login/**")
    assert kept(page) == []
    page.goto(f"{shared.url}/executions/new/")
    log_in_again(page, "nora", START_PAGE)
    expect(page.locator("#start-form")).to_be_visible()
    expect(page.get_by_label("Brief", exact=True)).to_have_value("")


@pytest.mark.torture
def test_a_brief_from_a_file_is_kept_too(shared: Machine, page: Page, tmp_path: Path) -> None:
    log_in(page, shared, "nora")
    file = tmp_path / "brief.md"
    file.write_text("# From a file", encoding="utf-8")
    page.get_by_role("link", name="Start an execution").click()
    page.get_by_label("Load the brief from a file").set_input_files(file)
    expect(page.get_by_label("Brief", exact=True)).to_have_value("# From a file")
    page.goto(f"{shared.url}/executions/")
    lose_session(page)
    page.get_by_role("link", name="Start an execution").click()
    log_in_again(page, "nora", START_PAGE)
    expect(page.get_by_label("Brief", exact=True)).to_have_value("# From a file")


# --- a narrow screen --------------------------------------------------------------------------------------------------

STICK_OUT = """
() => [...document.querySelectorAll("body *")].filter((each) => {
  const box = each.getBoundingClientRect();
  const shown = box.width > 0 && box.height > 0 && !each.closest(".skip, #canvas > *"); // the drawing scrolls by itself
  return shown && (box.right > innerWidth + 1 || box.left < -1);
}).map((each) => `${each.localName}#${each.id}.${each.className} ${Math.round(each.getBoundingClientRect().right)}`)
"""
SCROLLS = """
() => [...document.querySelectorAll("*")].filter((each) =>
  each.scrollWidth > each.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(each).overflowX)
  && !["TEXTAREA", "SELECT", "INPUT"].includes(each.tagName) && each.id !== "canvas"
).map((each) => `${each.localName}#${each.id}.${each.className}`)
"""
LOW = """
() => [...document.querySelectorAll("button, .bar a, select, summary")]
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.height < 40 || box.width < 40))
  .map(([each, box]) => `${each.localName} ${each.textContent.trim().slice(0, 20)} ${box.width}x${box.height}`)
"""


def fits(page: Page) -> None:
    """See that nothing scrolls sideways or sticks out, and that a thumb hits every button."""
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(STICK_OUT) == []
    assert page.evaluate(SCROLLS) == []
    assert page.evaluate(LOW) == []


def test_every_page_fits_a_narrow_screen(shared: Machine, page: Page, pictures: Callable[[str], Path]) -> None:
    long = "a-very-long-key-of-a-project-that-has-no-place-to-break-" * 3
    with shared.client("nick") as client:
        asks = waiting(client, long)
        decides = start_execution(client, CLOSED_BRIEF, workflow_id="software-delivery", key="nick-decides")
        body: dict[str, Any] = {"workflow_id": "meeting-minutes", "scope_type": "project", "scope_id": "nick-pays"}
        short = client.post("/executions/", json={**body, "input": CLOSED_BRIEF, "budget": {"max_calls": 0}}).json()
        done = start_execution(client, CLOSED_BRIEF, key="nick-reads")
        body = {**body, "dry_run": True, "rehearsal": {"steps": {"minutes": {"invalid": 3}}}, "input": CLOSED_BRIEF}
        failed = client.post("/executions/", json=body).json()
        for each, status in ((decides, "waiting"), (short["execution_id"], "waiting"), (done, "completed")):
            wait_for_status(client, each, status)
        wait_for_status(client, failed["execution_id"], "failed")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{shared.url}/login/")
    fits(page)
    enter(page, shared, "nick")
    expect(page.locator("#listed tbody tr")).to_have_count(5)
    page.screenshot(path=pictures("list"), full_page=True)
    fits(page)
    page.get_by_role("link", name="Start an execution").click()
    page.get_by_label("Brief", exact=True).fill("x" * 400)
    page.screenshot(path=pictures("start"))
    fits(page)
    page.get_by_role("button", name="Start", exact=True).scroll_into_view_if_needed()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_in_viewport()
    page.goto(f"{shared.url}/inbox/")
    expect(page.locator("#entries li")).to_have_count(3)  # without the failure of the dry run
    page.screenshot(path=pictures("inbox"), full_page=True)
    fits(page)
    for name, execution_id in {"asks": asks, "decides": decides, "short": short["execution_id"], "done": done}.items():
        opened(page, shared, execution_id)
        page.screenshot(path=pictures(name), full_page=True)
        fits(page)
    for name in ("documents/", "brief/", "steps/architecture/items/"):
        page.goto(f"{shared.url}/executions/{decides}/{name}")
        page.screenshot(path=pictures(name.replace("/", "-")), full_page=True)
        fits(page)
    opened(page, shared, failed["execution_id"])
    expect(page.locator("#failure")).to_be_visible()
    page.screenshot(path=pictures("failed"), full_page=True)
    fits(page)
    page.get_by_role("link", name="Retry …").click()
    page.route("**/retry/", lambda route: route.abort())
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#faults")).to_contain_text("The server is not reachable.")
    page.screenshot(path=pictures("retry"), full_page=True)
    fits(page)


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[str], Path]:
    """Where screenshots go: SCREENSHOT_DIR keeps them."""
    folder = Path(os.environ.get("SCREENSHOT_DIR", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: folder / f"narrow-{name}.png"
