"""A role is lost, or a session ends, while a person types: nothing is stored, the person is told, no text is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.console.browser import browsing
from tests.e2e.processes import CLOSED_BRIEF, Machine, wait_for_status

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OWNER, PERSON = "will", "simon"
OPEN_BRIEF = "# Ferry\n\nThe town runs one ferry. It is undecided how many boats are bought."
TEXT = "Seven words of a person who is typing"


def log_in(context: BrowserContext, machine: Machine, session: str | None = None) -> None:
    """Give the browser the session of the person, or another one."""
    key = machine.session(PERSON) if session is None else session
    context.add_cookies([{"name": "sessionid", "value": key, "url": machine.url}])


@pytest.fixture
def context(browser: Browser, shared: Machine) -> Iterator[BrowserContext]:
    """A browser of the person."""
    with browsing(browser) as made:
        log_in(made, shared)
        yield made


def give_role(machine: Machine, key: str, role: str | None) -> None:
    """Have the owner give a role to the person, or take it."""
    path = f"/scopes/project/{key}/roles/{PERSON}"
    with machine.client(OWNER) as client:
        told = client.delete(path) if role is None else client.put(path, json={"role": role})
        assert told.status_code in {200, 201, 204}, told.text


def start(machine: Machine, key: str, **named: Any) -> str:
    """Start an execution of the owner that waits."""
    body = {"workflow_id": "strategy-document", "scope_type": "project", "scope_id": key, "input": OPEN_BRIEF, **named}
    with machine.client(OWNER) as client:
        response = client.post("/executions/", json=body)
        assert response.status_code == 201, response.text
        execution_id = str(response.json()["execution_id"])
        wait_for_status(client, execution_id, "waiting")
    return execution_id


def add_letter(machine: Machine, key: str) -> str:
    """Add a document of the owner."""
    content = {"title": "A letter", "greeting": "Dear all"}
    body = {"scope_type": "project", "scope_id": key, "type": "letter", "content": content}
    with machine.client(OWNER) as client:
        response = client.post("/documents/", json=body)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])


@dataclass(frozen=True)
class Form:
    """A page with a form, and what a person does in it."""

    path: str
    field: Callable[[Page], Locator]
    button: str
    text: str = TEXT
    status: int = 204  # when it is sent at last


def forms_in(machine: Machine, key: str) -> list[Form]:
    """Return forms that people use in a scope."""
    asks = start(machine, key)
    decides = start(machine, key, input=CLOSED_BRIEF, workflow_id="software-delivery")
    short = start(machine, key, input=CLOSED_BRIEF, workflow_id="meeting-minutes", budget={"max_calls": 0})
    letter = add_letter(machine, key)
    return [
        Form(
            f"/inbox/{asks}/question/discovery/",
            lambda page: page.locator("form.answers input[inputmode=decimal]"),
            "Answer",
            text="17",
        ),
        Form(
            f"/inbox/{decides}/acceptance/epics/",
            lambda page: page.locator("form.decision [name=comment]"),
            "Request changes",
        ),
        Form(f"/inbox/{short}/budget/", lambda page: page.get_by_label("Calls"), "Raise the budget", text="17"),
        Form(f"/documents/{letter}/edit/", lambda page: page.get_by_label("Greeting"), "Save as version 2"),
        Form(
            f"/scopes/-/people/project/{key}/",
            lambda page: page.locator("#invite [name=email]"),
            "Make the link",
            text="seven@example.org",
            status=200,
        ),
    ]


def workflow_form(key: str) -> Form:
    """Return a form that a role in a scope does not open."""
    text = f"id: {key}\n# {TEXT}\n"
    return Form(
        "/workflows/-/new/", lambda page: page.get_by_label("Definition (YAML or JSON)"), "Publish…", text, status=422
    )


TOLD = {
    "role": "This is no longer available to you. Nothing was stored.",
    "lowered": "Your role is viewer. An owner can change that: will. Nothing was stored.",
    "session": "Your session has ended. Nothing was stored.",
}


@pytest.mark.parametrize("lost", ["role", pytest.param("lowered", marks=pytest.mark.torture), "session"])
def test_what_is_typed_survives(shared: Machine, context: BrowserContext, lost: str) -> None:
    key = f"lost-{lost}"
    forms = forms_in(shared, key) + ([workflow_form(key)] if lost == "session" else [])

    def lose() -> None:
        if lost == "session":
            log_in(context, shared, "ended")
        else:
            give_role(shared, key, "viewer" if lost == "lowered" else None)

    def regain() -> None:
        log_in(context, shared)
        give_role(shared, key, "owner")

    page = context.new_page()
    for live in ("**/stream", "**/parts/**"):  # the page does not learn of it before the person sends the form
        page.route(live, lambda route: route.abort())
    for form in forms:
        regain()
        page.goto(shared.url + form.path)
        form.field(page).fill(form.text)
        lose()
        page.get_by_role("button", name=form.button).click()
        expect(page.locator("#faults")).to_contain_text(TOLD[lost])
        expect(form.field(page)).to_have_value(form.text)
        regain()
        page.goto(shared.url + form.path)
        expect(form.field(page)).to_have_value(form.text)
        with page.expect_response(lambda told: told.request.method == "POST") as answer:
            page.get_by_role("button", name=form.button).click()
        assert answer.value.status == form.status
        if form.status == 204:
            page.wait_for_url(re.compile(rf"^(?!.*{re.escape(form.path)})"))
