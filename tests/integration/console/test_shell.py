"""The frame of pages: parts with entity tags, forms that have a twin in the API, templates without code."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from access.idempotency import HEADER
from access.people.invitations import invite
from access.permissions import Role
from access.user import User
from console.shell import zone_of
from documents.comments import add_comment
from documents.models import Document
from executions.engine.domain.acceptance import AcceptanceAction
from executions.models import InboxEntry
from executions.services.acceptance import PersonsDecision, decide_acceptance
from tests.factories import reports
from tests.factories.documents import scope_of, store
from tests.factories.workflows import definition
from workflows import publishing

TEMPLATES = Path(settings.BASE_DIR) / "console" / "templates"
OLD = {"base.html", "login.html", "refused.html"}
IN_THE_FRAME = [path for path in TEMPLATES.rglob("*.html") if path.name not in OLD]
CODE_IN_TEMPLATES = re.compile(
    r"<style|<script(?! [^>]*src=)|\sstyle=|\son\w+=|hx-on|js:|javascript:|hx-trigger=\"[^\"]*\["
)
#: Forms without a twin, by action or class: a session has none in the API, and pages name their own versions.
ALONE = {"/logout/", "chosen"}
#: Fields of pages alone: the plan that was shown, the token, what a button shows, the versions with which a
#: text began, the offer that was shown, a password that is typed again, a scope that one choice names, limits that
#: were shown and that are to go, the order of a list, and a tick before a new scope is made.
OF_PAGES = {
    *("plan", "csrfmiddlewaretoken", "show", "base", "head_base", "seen", "new_password_again", "scope"),
    *("shown", "remove", "order", "new_scope"),
}
#: No hash of a form with a password is stored, so it has no key.
WITHOUT_KEY = {"post /api/v1/me/password"}


class Forms(HTMLParser):
    """The forms of a page: their attributes, and the names of their fields."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], set[str]]] = []
        self.feed(page.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append((given, set()))
        elif given.get("name") and tag in {"input", "select", "textarea", "button"}:
            self.found[-1][1].add(str(given["name"]))


def accepted(document: dict[str, Any], twin: str) -> set[str]:
    """Return what an operation of the OpenAPI document takes: parameters, and members of its body."""
    if ", " in twin:  # a form with a button for each of several operations
        return set[str]().union(*(accepted(document, each) for each in twin.split(", ")))
    method, path = twin.split()
    operation = document["paths"][path][method]
    names = {each["name"] for each in operation.get("parameters", [])}
    for body in operation.get("requestBody", {}).get("content", {}).values():
        schema = body["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        names |= set(schema.get("properties", {}))
    return names


def workflow_pages(user: User) -> list[str]:
    """Return pages that have all forms of workflows."""
    user.is_author = True
    user.save()
    reports.publish("Another description.")
    publishing.publish(definition(), by=user, now=timezone.now())
    publishing.retire("note", by=user, now=timezone.now())
    pages = ("", "-/new/", "report/edit/", "report/", "report/?v=1", "report/compare/", "note/")
    return [f"/workflows/{page}" for page in pages]


def _waiting(user: User) -> list[str]:
    """Return the addresses of entries of the inbox, one of each kind."""
    short = reports.start(user, key="short", budget={"max_calls": 1})
    InboxEntry.objects.create(
        id=short.id,
        execution_id=short.id,
        kind="budget",
        root_id=short.scope.id,
        workflow_id="report",
        dry_run=False,
        since=timezone.now(),
    )
    asks, failed = reports.ask(reports.start(user, key="asks")), reports.fail(reports.start(user, key="failed"))
    return [f"{asks.id}/question/research", f"{short.id}/budget", f"{failed.id}/failure"]


def stale_document(user: User) -> UUID:
    """Return a document that a workflow has made, and that was rejected."""
    rejected = reports.hand_in(reports.start(user, key="rejected"))
    said = PersonsDecision(decision=AcceptanceAction.REJECT, document_version=1)
    decide_acceptance(user=user, execution_id=rejected.id, step_id="research", said=said, now=timezone.now())
    return Document.objects.get(scope__key="rejected").id


@pytest.mark.django_db(transaction=True)  # threads of estimates read what is stored
def test_each_form_has_its_twin_in_the_api(ada: User, browser: Client) -> None:
    document, document_id = browser.get("/api/v1/openapi.json").json(), store(scope_of(ada))
    store(scope_of(ada), id=document_id, version=2)
    add_comment(user=ada, document_id=document_id, pointer="/title", text="Why?", now=timezone.now())
    reports.publish(gated=True)
    execution = reports.hand_in(reports.start(ada, key="beta"))
    decision = f"/executions/{execution.id}/steps/research/decision/"
    invite(user=ada, scope_type="project", scope_key="beta", role=Role.VIEWER, now=timezone.now())
    browser.post("/account/tokens/", {"name": "cron", "rights": ["read"]})
    paths = [
        "/account/",
        "/audit/",
        "/costs/",
        "/scopes/",
        "/scopes/project/beta/",
        "/scopes/-/people/project/beta/",
        "/executions/new/",
        "/documents/",
        "/documents/new/",
        f"/documents/{document_id}/",
        f"/documents/{document_id}/?v=1",
        f"/documents/{document_id}/edit/",
        f"/documents/{document_id}/parts/passage/",
        f"/documents/{document_id}/compare/",
        f"/documents/{uuid7()}/",
        f"/documents/{stale_document(ada)}/again/",
        f"/executions/compare/?b={execution.id}",
        f"/executions/{execution.id}/calls/?order=step",
        decision,
        f"{decision}edit/",
        *(f"/inbox/{each}/" for each in _waiting(ada)),
        *workflow_pages(ada),
    ]
    forms = [form for path in paths for form in Forms(browser.get(path)).found]
    twins = {str(attributes["data-twin"]) for attributes, _ in forms if "data-twin" in attributes}
    assert len(twins) == 36
    for attributes, fields in forms:
        if not ALONE & {attributes.get("action"), attributes.get("class")}:
            twin = str(attributes["data-twin"])
            named = {each.partition(".")[0] for each in fields - OF_PAGES}  # `content.sk/title` is a part of `content`
            if twin.startswith(("post", "put", "get")):
                has_none = twin.startswith("get") or twin in WITHOUT_KEY
                assert (HEADER in named) is not has_none, attributes
            named -= set() if twin.startswith("post") else {HEADER}  # the API needs none there
            assert named <= accepted(document, twin), attributes


def test_no_template_has_code(db: None) -> None:
    """The policy blocks scripts, styles and functions that are made of text."""
    assert len(IN_THE_FRAME) > 5
    for path in IN_THE_FRAME:
        text = path.read_text(encoding="utf-8")
        found = re.findall(
            r"<style|<script(?! [^>]*src=)|\sstyle=|\son\w+=|hx-on|js:|javascript:|hx-trigger=\"[^\"]*\[", text
        )
        assert not found, path


@pytest.mark.parametrize("name", ["part-waiting", "part-documents", "part-document-versions"])
def test_a_part_is_sent_only_when_it_has_changed(ada: User, browser: Client, name: str) -> None:
    document_id = store(scope_of(ada))
    path = reverse(f"console:{name}", args=[document_id] if "versions" in name else [])
    first = browser.get(path)
    assert (first.status_code, first["Cache-Control"]) == (200, "private, no-cache")
    again = browser.get(path, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    store(scope_of(ada), id=document_id, version=2)
    reports.publish(gated=True)
    reports.hand_in(reports.start(ada))
    changed = browser.get(path, headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


@pytest.mark.parametrize("path", ["/parts/waiting/", "/documents/parts/results/"])
def test_a_part_without_a_login_is_no_login_page(db: None, path: str) -> None:
    response = Client().get(path)
    assert (response.status_code, response.content) == (401, b"Your session has ended.")


def test_a_part_is_only_read(browser: Client) -> None:
    assert browser.post("/parts/waiting/").status_code == 405


def test_a_part_of_a_page_is_the_part_of_the_page(ada: User, browser: Client) -> None:
    """A swap without a change changes nothing."""
    document_id = store(scope_of(ada))
    for page, part in (
        ("/documents/?type=plan", "/documents/parts/results/?type=plan"),
        (f"/documents/{document_id}/?v=1", f"/documents/{document_id}/parts/versions/?v=1"),
        ("/documents/", "/parts/waiting/"),
    ):
        assert browser.get(part).content.decode().strip() in browser.get(page).content.decode()


def test_the_navigation_knows_where_one_is_and_what_waits(ada: User, browser: Client) -> None:
    reports.publish(gated=True)
    reports.hand_in(reports.start(ada))
    page = browser.get("/documents/").content.decode()
    [current] = re.findall(r'<a href="([^"]*)" aria-current="page">', page)
    assert current == "/documents/"
    assert re.search(r'id="waiting-count"[^>]*>1<span class="visually-hidden"> waiting</span>', page)


def test_htmx_never_puts_an_error_into_a_page(browser: Client) -> None:
    page = browser.get("/documents/").content.decode()
    [given] = re.findall(r"<meta name=\"htmx-config\" content='([^']*)'>", page)
    config = json.loads(given.replace("&quot;", '"'))
    assert config["noSwap"] == [204, 304, "4xx", "5xx"]
    assert config["includeIndicatorCSS"] is False


def test_an_unknown_time_zone_is_utc() -> None:
    assert zone_of(User(time_zone="Mars/Olympus")).key == "UTC"
    assert zone_of(User(time_zone="Asia/Tokyo")).key == "Asia/Tokyo"


def test_pages_load_nothing_from_elsewhere(ada: User, browser: Client) -> None:
    for path in ("/documents/", f"/documents/{store(scope_of(ada))}/"):
        page = browser.get(path).content.decode()
        assert "//" not in page.replace("<!doctype html>", "")


@pytest.mark.parametrize("path", ["/documents/", "/documents/01a20782-9bcf-73d6-9b68-153f51574a9d/"])
def test_a_page_asks_strangers_to_log_in(db: None, path: str) -> None:
    response = Client().get(path)
    assert (response.status_code, response["Location"]) == (302, f"/login/?next={path}")


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/account/tokens/", {"name": ""}),
        ("/scopes/-/invitations/", {"scope_type": "project", "scope_id": "alpha", "role": "viewer", "email": "no"}),
    ],
)
def test_the_answer_to_a_form_names_its_page_if_its_address_is_for_sending_alone(
    ada: User, browser: Client, path: str, sent: dict[str, str]
) -> None:
    scope_of(ada)
    refused = browser.post(path, sent)
    [page] = re.findall(r'data-page="([^"]+)" data-sent>', refused.content.decode())
    assert (refused.status_code, page == path, browser.get(page).status_code) == (422, False, 200)


def test_a_form_that_is_too_old_says_so_in_the_page_or_in_a_sentence(ada: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    page = browser.post("/login/", {"username": "ada", "password": "x"})
    assert (page.status_code, "This form is too old" in page.content.decode()) == (403, True)
    assert 'href="/login/"' in page.content.decode()
    sentence = browser.post("/login/", {}, headers={"HX-Request": "true"})
    assert (sentence.status_code, sentence.content.decode()) == (403, "This page is too old: reload it.")
