"""What people do with documents in Chromium: find, compare, edit, decide, comment, and keep what they have typed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.console.accessibility import faults_of, take_picture, too_wide
from tests.e2e.console.browser import EXECUTION_PAGE, WIDTHS, browsing, choose_workflow, name_scope, resize
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status
from tests.factories.files import pdfs

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

WRITER = "quinn"
CHANGED = "document.dispatchEvent(new CustomEvent('scriptorium:changed', { detail: { kind: 'tick', step: null } }))"
LETTER = {
    "title": "Letter to the council",
    "greeting": "Dear members",
    "parts": [{"name": "Counter", "text": "The counter opens at nine."}, {"name": "Doors", "text": "Both doors open."}],
}


@pytest.fixture
def context(browser: Browser, shared: Machine) -> Iterator[BrowserContext]:
    """A browser of a person who is logged in."""
    with browsing(browser) as made:
        made.add_cookies([{"name": "sessionid", "value": shared.session(WRITER), "url": shared.url}])
        yield made


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def add(machine: Machine, key: str, **changes: Any) -> str:
    """Add a document over the API."""
    body = {"scope_type": "project", "scope_id": key, "type": "letter", "content": LETTER, **changes}
    with machine.client(WRITER) as client:
        response = client.post("/documents/", json=body)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])


def edit(machine: Machine, document_id: str, content: Any) -> None:
    """Make another version over the API."""
    with machine.client(WRITER) as client:
        response = client.put(f"/documents/{document_id}", json={"content": content}, headers={"If-Match": "*"})
        assert response.status_code == 200, response.text


def read(machine: Machine, document_id: str) -> Any:
    """Return the newest version."""
    with machine.client(WRITER) as client:
        return client.get(f"/documents/{document_id}").json()


def wait_for_epics(machine: Machine, key: str) -> tuple[str, str]:
    """Return an execution whose epics wait for a decision, and the id of their document."""
    with machine.client(WRITER) as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="software-delivery", key=key)
        wait_for_status(client, execution_id, "waiting")
        steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
        return execution_id, next(each["document"]["id"] for each in steps if each["step_id"] == "epics")


class Clicks:
    """A person's clicks."""

    def __init__(self) -> None:
        self.count = 0

    def on(self, target: Locator) -> None:
        target.click()
        self.count += 1


def select(page: Page, selector: str, words: str) -> None:
    """Select words of a text, which a person sees while selecting them."""
    page.locator(selector).filter(has_text=words).first.evaluate(
        """(element, words) => {
            element.scrollIntoView({ block: "center" });
            const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
            for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                const start = node.data.indexOf(words);
                if (start < 0) continue;
                getSelection().setBaseAndExtent(node, start, node, start + words.length);
                return;
            }
        }""",
        words,
    )


@WIDTHS
def test_a_document_is_found_compared_edited_and_downloaded(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    document_id = add(shared, f"council-{width}")
    edit(shared, document_id, {**LETTER, "greeting": "Dear all"})
    page.goto(f"{shared.url}/executions/")
    clicks = Clicks()
    clicks.on(page.get_by_role("link", name="Documents"))
    if width < 700:  # they are folded
        clicks.on(page.get_by_text("Filters", exact=True))
    page.get_by_label("Changed from").fill(f"{datetime.now(UTC) - timedelta(days=7):%Y-%m-%d}")
    page.keyboard.press("Enter")
    page.wait_for_url("**/documents/?updated_after=*")
    assert too_wide(page) == []
    clicks.on(page.get_by_role("link", name="Letter to the council").first)
    clicks.on(page.get_by_role("link", name="Changes of version 2"))
    expect(page.locator("ins").first).to_contain_text("all")
    assert clicks.count <= 4
    assert too_wide(page) == []

    page.get_by_role("link", name="Letter to the council").click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Greeting").fill("Dear council")
    page.get_by_role("button", name="Add to Parts").click()
    expect(page.get_by_label("Name").last).to_be_focused()
    page.keyboard.type("Roof")
    page.get_by_role("button", name="Move up: Doors").click()
    page.get_by_role("button", name="Remove: Counter").click()
    page.get_by_label("Why you changed it").fill("Shorter.")
    page.keyboard.press("Enter")  # goes on, and stores nothing
    expect(page.get_by_role("button", name="Save as version 3")).to_be_focused()
    page.get_by_role("button", name="Save as version 3").click()
    page.wait_for_url(f"**/documents/{document_id}/")
    expect(page.locator(".doc-content")).to_contain_text("Dear council")
    parts = read(shared, document_id)["content"]["parts"]
    assert parts == [LETTER["parts"][1], {"name": "Roof", "text": ""}]
    with page.expect_download() as download:
        page.get_by_role("link", name="Word").click()
    assert download.value.suggested_filename.endswith(".docx")


@WIDTHS
def test_a_typed_text_survives_an_event_a_reload_and_anothers_edit(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    document_id = add(shared, f"drafts-{width}")
    page.goto(f"{shared.url}/documents/{document_id}/edit/")
    greeting = page.get_by_label("Greeting")
    greeting.fill("Half a sen")
    page.get_by_role("button", name="Remove: Counter").click()
    edit(shared, document_id, {**LETTER, "title": "Letter to all"})
    page.evaluate(CHANGED)
    expect(page.locator("#newer")).to_contain_text(f"{WRITER} has made version 2")
    expect(greeting).to_have_value("Half a sen")
    assert too_wide(page) == []

    page.route(
        "**/edit/", lambda route: route.fulfill(status=503) if route.request.method == "POST" else route.fallback()
    )
    page.reload()
    expect(page.get_by_text("Your unsaved text could not be shown.")).to_be_visible()
    expect(page.locator("#editor")).to_have_js_property("inert", True)
    page.unroute("**/edit/")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Your unsaved text is here again.")).to_be_visible()
    expect(greeting).to_have_value("Half a sen")
    expect(page.get_by_label("Name")).to_have_count(1)
    expect(page.locator(".moved ins").first).to_contain_text("all")
    page.get_by_role("button", name="Take over these changes").click()
    expect(page.get_by_label("Title")).to_have_value("Letter to all")
    page.get_by_role("button", name="Save as version 3").click()
    page.wait_for_url(f"**/documents/{document_id}/")
    assert read(shared, document_id)["content"] == {
        **LETTER,
        "title": "Letter to all",
        "greeting": "Half a sen",
        "parts": LETTER["parts"][1:],
    }
    kept = "Object.keys(localStorage).filter(name => name.includes('/edit/'))"
    assert page.evaluate(kept) == []  # it was stored


@WIDTHS
def test_a_refused_edit_has_the_focus_at_its_fault_and_a_lost_server_keeps_the_text(
    shared: Machine, context: BrowserContext, page: Page, width: int, paths: dict[str, str]
) -> None:
    resize(page, width)
    page.goto(f"{shared.url}{paths['editor']}")
    goal = page.get_by_label("Goal").nth(1)
    goal.fill("Short")
    context.set_offline(True)
    page.get_by_role("button", name="Save as version").click()
    expect(page.locator("#connection")).to_be_visible()
    expect(goal).to_have_value("Short")
    context.set_offline(False)
    page.get_by_role("button", name="Save as version").click()
    expect(goal).to_be_focused()
    expect(goal).to_have_accessible_description('What users can do afterwards. "Short" is shorter than 20 characters')
    context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Save as version").click()
    expect(page.get_by_role("alert").first).to_contain_text("Your session has ended.")
    expect(goal).to_have_value("Short")


@WIDTHS
def test_a_document_is_accepted_with_one_edited_sentence_in_four_clicks(
    shared: Machine, page: Page, width: int
) -> None:
    resize(page, width)
    execution_id, document_id = wait_for_epics(shared, f"four-clicks-{width}")
    page.goto(f"{shared.url}/inbox/")
    clicks = Clicks()
    clicks.on(page.locator("#entries li", has_text=f"four-clicks-{width}").get_by_role("link"))
    clicks.on(page.get_by_role("link", name="Edit, then accept"))
    assert too_wide(page) == []
    clicks.on(page.get_by_label("Goal").first)
    page.keyboard.press("Control+A")
    page.keyboard.type("A member finds a free tool at once.")
    clicks.on(page.get_by_role("button", name="Save and accept"))
    page.wait_for_url("**/inbox/**")
    assert clicks.count <= 4
    found = read(shared, document_id)
    assert found["content"]["epics"][0]["goal"] == "A member finds a free tool at once."
    with shared.client(WRITER) as client:
        client.post(f"/executions/{execution_id}/cancel")


@WIDTHS
def test_two_passages_are_sent_back_and_the_request_survives(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    execution_id, document_id = wait_for_epics(shared, f"two-passages-{width}")
    quotes = [each["goal"][:30].strip() for each in read(shared, document_id)["content"]["epics"][:2]]
    path = f"{shared.url}/executions/{execution_id}/steps/epics/decision/"
    page.goto(path)
    for number in (0, 1):
        select(page, f'[id="document.epics.{number}.goal"] + :is(p, dd)', quotes[number])
        page.get_by_role("button", name="Comment", exact=True).click()
        text = page.get_by_label("What to change").nth(number)
        expect(text).to_be_focused()
        page.keyboard.type(f"Shorter, please ({number})")
    page.get_by_label("Only these passages").check()
    page.evaluate(CHANGED)
    page.reload()
    expect(page.get_by_label("What to change")).to_have_count(2)
    assert too_wide(page) == []
    expect(page.get_by_label("Only these passages")).to_be_checked()
    with shared.client(WRITER) as client:  # another person is faster
        body = {"decision": "request_changes", "document_version": 1, "comment": "Less."}
        assert client.post(f"/executions/{execution_id}/steps/epics/acceptance", json=body).status_code == 200
    expect(page.locator("#state")).to_contain_text(f"{WRITER} asked for changes of version 1")
    expect(page.get_by_label("What to change").first).to_have_value("Shorter, please (0)")
    with shared.client(WRITER) as client:
        wait_for_status(client, execution_id, "waiting")
    before = read(shared, document_id)["content"]
    page.goto(path)
    expect(page.get_by_text("You wrote this about version 1; version 2 waits now.")).to_be_visible()
    page.get_by_role("button", name="Request changes").click()
    page.wait_for_url(f"**/executions/{execution_id}/")
    with shared.client(WRITER) as client:
        wait_for_status(client, execution_id, "waiting")
        steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
        last = next(each for each in steps if each["step_id"] == "epics")["acceptance"]["decisions"][-1]
    page.goto(path)  # both passages have changed, and nothing else
    expect(page.locator("ins", has_text="Shorter, please")).to_have_count(2)
    after = read(shared, document_id)["content"]
    for number in (0, 1):
        goal = after["epics"][number].pop("goal")
        assert goal != before["epics"][number].pop("goal")
        assert f"Shorter, please ({number})" in goal
    assert after == before
    with shared.client(WRITER) as client:
        client.post(f"/executions/{execution_id}/cancel")
    assert last["only_commented"]
    assert [(each["pointer"], each["quote"]) for each in last["comments"]] == [
        ("/epics/0/goal", quotes[0]),
        ("/epics/1/goal", quotes[1]),
    ]


@WIDTHS
def test_a_comment_stands_at_its_passage_and_is_resolved(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    document_id = add(shared, f"remarks-{width}")
    page.goto(f"{shared.url}/documents/{document_id}/")
    select(page, ".doc-content td, .doc-content p, .doc-content dd", "opens at nine")
    page.evaluate("document.body.style.paddingBottom = '3000px'; scrollTo(0, 2500)")  # the passage is above the window
    expect(page.get_by_role("button", name="Comment", exact=True)).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="Comment", exact=True).click()
    page.get_by_label("Comment", exact=True).fill("Why so late?")
    page.locator("form.comment").get_by_role("button", name="Comment").click()
    comment = page.locator("#comment-1")
    expect(comment).to_contain_text("opens at nine")
    expect(comment).to_contain_text("Why so late?")
    assert page.evaluate("[...CSS.highlights.get('comments')].map(String)") == ["opens at nine"]
    expect(page.locator("#passage form")).to_have_count(0)
    edit(shared, document_id, {**LETTER, "parts": []})
    page.evaluate(CHANGED)
    expect(comment).to_contain_text("Its passage is gone")
    page.get_by_role("button", name="Name a passage").click()
    page.get_by_label("Comment", exact=True).fill("Half a remark")
    page.get_by_role("button", name="Resolve comment 1").click()
    expect(page.get_by_text("1 resolved")).to_be_visible()
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Half a remark")
    page.get_by_role("button", name="Name a passage").click()
    expect(page.get_by_label("Place")).to_be_focused()
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Half a remark")


@WIDTHS
def test_a_pdf_is_dropped_as_a_brief(shared: Machine, page: Page, width: int) -> None:
    resize(page, width)
    page.goto(f"{shared.url}/executions/")
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "meeting-minutes")
    name_scope(page, f"dropped-{width}")
    drop = """(form, files) => {
        const data = new DataTransfer();
        const of = (bytes) => Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0));
        for (const [name, bytes] of files) data.items.add(new File([of(bytes)], name));
        form.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    files = [("plan.pdf", pdfs.simple("We met. We agreed to meet again.")), ("no.pdf", b"MZ\0\0")]
    page.locator("#start-form").evaluate(drop, [[name, b64encode(data).decode()] for name, data in files])
    attached = page.locator("#attached li")
    expect(attached.filter(has_text="plan.pdf")).to_contain_text("1 page")
    expect(attached.filter(has_text="no.pdf")).to_contain_text("Not added.")
    page.get_by_role("button", name="Remove no.pdf").click()
    page.reload()
    expect(attached).to_have_count(1)  # it is kept as what is typed
    assert too_wide(page) == []
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(EXECUTION_PAGE)
    with shared.client(WRITER) as client:
        found = client.get(f"/executions/{page.url.split('/')[-2]}").json()
        assert len(found["input"]["files"]) == 1


def run_and_edit(machine: Machine, key: str) -> tuple[str, str]:
    """Return a document that is stale, and the newer one of the two executions that made it."""
    with machine.client(WRITER) as client:
        for _ in range(2):
            execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment", key=key)
            wait_for_status(client, execution_id, "completed")
        steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
    read_by, made = steps[0]["document"]["id"], steps[-1]["document"]["id"]
    edit(machine, read_by, {**read(machine, read_by)["content"], "title": "Edited by a person"})
    return made, execution_id


@pytest.fixture(scope="module")
def key() -> str:
    """A scope of its own: a worker may come to this module twice."""
    return f"pages-{uuid4().hex}"


@pytest.fixture(scope="module")
def paths(shared: Machine, key: str) -> dict[str, str]:
    """The pages of the console, by name."""
    document_id = add(shared, key)
    edit(shared, document_id, {**LETTER, "greeting": "Dear all"})
    execution_id, epics = wait_for_epics(shared, key)
    with shared.client(WRITER) as client:
        for pointer in ("/greeting", "/parts/0/text"):
            body = {"pointer": pointer, "text": "Why?", "document_version": 1}
            assert client.post(f"/documents/{document_id}/comments", json=body).status_code == 201
        client.patch(f"/documents/{document_id}/comments/2", json={"resolved": True})
    stale, finished = run_and_edit(shared, key)
    document, decision = f"/documents/{document_id}/", f"/executions/{execution_id}/steps/epics/decision/"
    return {
        "library": "/documents/?q=letter",
        "new document": f"/documents/new/?scope_type=project&scope_id={key}&type=letter",
        "reader": document,
        "reader of an old version": f"{document}?v=1",
        "comparison": f"{document}compare/",
        "reader of a stale document": f"/documents/{stale}/",
        "made again": f"/documents/{stale}/again/",
        "two executions": f"/executions/compare/?b={finished}",
        "execution after another": f"/executions/{finished}/",
        "editor": f"/documents/{epics}/edit/",
        "decision": decision,
        "editor of a decision": f"{decision}edit/",
        "inbox": "/inbox/",
        "executions": "/executions/",
        "execution": f"/executions/{execution_id}/",
        "documents of an execution": f"/executions/{execution_id}/documents/",
        "items": f"/executions/{execution_id}/steps/architecture/items/",
        "not found": "/documents/00000000-0000-7000-8000-000000000000/",
    }


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        pytest.param(360, "light", marks=pytest.mark.torture),
        pytest.param(1280, "dark", marks=pytest.mark.torture),
        pytest.param(360, "dark", marks=pytest.mark.torture),
    ],
)
def test_every_page_is_accessible_and_fits(
    shared: Machine, page: Page, key: str, paths: dict[str, str], width: int, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    found: dict[str, list[str]] = {}
    for name, path in paths.items():
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{shared.url}{path}")
        found[name] = faults_of(page)
        take_picture(page, f"{name}-{width}-{scheme}")
        page.set_viewport_size({"width": 360, "height": 900})
        found[name] += too_wide(page)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{shared.url}{paths['decision']}")
    page.get_by_role("button", name="Name a passage").click()
    expect(page.get_by_label("Place")).to_be_focused()
    page.get_by_role("button", name="Request changes").click()
    expect(page.get_by_label("What to change")).to_be_focused()
    found["refused decision"] = faults_of(page)
    page.goto(f"{shared.url}{paths['editor']}")
    page.get_by_label("Goal").first.fill("Short")
    page.get_by_role("button", name="Save as version").click()
    expect(page.get_by_label("Goal").first).to_be_focused()
    found["refused edit"] = faults_of(page)
    page.goto(f"{shared.url}/executions/")
    page.get_by_role("link", name="Start an execution").click()
    choose_workflow(page, "vendor-assessment")
    page.get_by_label("Scope", exact=True).select_option(f"project/{key}")
    page.get_by_label("Brief", exact=True).fill("Which vendor?")
    page.get_by_label("Use what is current").check()
    expect(page.locator("#start-expected")).to_contain_text("reuses")
    found["start"] = faults_of(page)
    take_picture(page, f"start-{width}-{scheme}")
    assert {name: faults for name, faults in found.items() if faults} == {}
