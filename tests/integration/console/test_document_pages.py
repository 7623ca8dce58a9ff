"""The library and the reader: what they show, to whom, and with how many queries."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from access.models import Scope, ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from common.limits import limits
from documents.models import DocumentVersion
from documents.rendering.limited_process import _slots
from executions.engine.domain.acceptance import AcceptanceAction
from executions.services.acceptance import PersonsDecision, decide_acceptance
from tests.factories import reports
from tests.factories.documents import NOW, scope_of, store

pytestmark = pytest.mark.django_db

MAX_QUERIES = 15


@pytest.fixture
def ada(db: None) -> User:
    user = ensure_user(name="ada")
    user.time_zone = "Asia/Tokyo"
    user.save(update_fields=["time_zone"])
    return user


def text_of(page: Any) -> str:
    """Return what a page, or a part of one, says."""
    content = page.content.decode()
    body = content.partition("<body")[2] or content
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def names_in(page: Any) -> list[str]:
    """Return the titles in the library."""
    return re.findall(r'class="name"[^>]*>([^<]*)<', page.content.decode())


def plan(user: User, number: int, **changes: Any) -> UUID:
    """Store a document; higher numbers are older."""
    title = changes.pop("title", f"Plan {number}")
    given = {"type": f"plan-{number}", "title": title, "created_at": NOW - timedelta(hours=number), **changes}
    return store(scope_of(user), **given)


def test_the_library_shows_the_newest_first_and_leads_to_older_ones(ada: User, browser: Client) -> None:
    for number in range(30):
        plan(ada, number)
    first = browser.get("/documents/")
    assert names_in(first) == [f"Plan {number}" for number in range(25)]
    [following] = re.findall(r'id="next-page" href="([^"]+)"', first.content.decode())
    second = browser.get(unescape(following))
    assert names_in(second) == [f"Plan {number}" for number in range(25, 30)]
    assert 'id="next-page"' not in second.content.decode()
    assert 'id="first-page" href="/documents/"' in second.content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=harbour", ["The harbour"]),
        ("type=plan-1", ["The harbour"]),
        ("scope_type=project&scope_id=alpha", ["The harbour", "The counter"]),
        ("scope_type=project&scope_id=beta", []),
        ("q=&type=&scope_type=&scope_id=", ["The harbour", "The counter"]),
        ("q=counter&type=plan-1", []),
        ("author=ada", ["The counter"]),
        ("workflow_id=roads", ["The harbour"]),
        ("updated_after=2026-03-01", ["The harbour"]),  # in Tokyo, where the reader is
        ("updated_before=2026-02-28", ["The counter"]),
        ("stale=true", []),
        ("stale=false&q=harbour", ["The harbour"]),
    ],
)
def test_filters_stand_in_the_address(ada: User, browser: Client, query: str, found: list[str]) -> None:
    plan(ada, 1, title="The harbour", provenance={"workflow_id": "roads"}, execution_id=uuid7())
    moment = datetime(2026, 2, 28, 14, 59, tzinfo=UTC)  # 23:59 in Tokyo
    plan(ada, 2, title="The counter", created_at=moment, author_id=ada.pk, author_name="ada")
    page = browser.get(f"/documents/?{query}")
    assert names_in(page) == found
    assert names_in(browser.get(f"/documents/parts/results/?{query}")) == found
    if not found:
        assert "No document matches." in text_of(page)


def test_a_search_shows_the_passage_and_says_that_the_best_come_first(ada: User, browser: Client) -> None:
    plan(ada, 1, content={"title": "Plan 1", "text": "The counter of Smith & Sons opens at nine."})
    page = browser.get("/documents/?q=counter")
    assert "<mark>counter</mark>" in page.content.decode()
    assert "</mark> of Smith &amp; Sons opens" in page.content.decode()
    assert "Best matches first." in text_of(page)


def test_filters_suggest_what_there_is(ada: User, browser: Client) -> None:
    plan(ada, 1, provenance={"workflow_id": "roads"}, execution_id=uuid7())
    page = browser.get("/documents/parts/suggestions/").content.decode()
    assert re.findall(r'<option value="([^"]+)"', page) == ["plan-1", "project", "alpha", "roads"]


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "9999-12-31"])
def test_an_invalid_day_is_a_fault_of_its_field(browser: Client, day: str) -> None:
    page = browser.get("/documents/", {"updated_before": day})
    assert "Enter a valid date." in text_of(page)


def test_the_form_keeps_what_was_given_and_describes_a_fault(browser: Client) -> None:
    kept = browser.get("/documents/", {"q": '"tool library"', "type": "plan"}).content.decode()
    assert 'value="&quot;tool library&quot;"' in kept
    refused = browser.get("/documents/", {"type": "x" * 64}).content.decode()
    [field] = re.findall(r'<input[^>]*name="type"[^>]*>', refused)
    assert 'aria-invalid="true"' in field
    assert 'aria-describedby="id_type_error"' in field
    assert 'id="id_type_error"' in refused
    assert 'value="2026-03-01"' in browser.get("/documents/?updated_after=2026-03-01").content.decode()
    assert '<option value="true" selected>' in browser.get("/documents/?stale=true").content.decode()


def test_a_cursor_of_another_list_leads_to_the_first_page(browser: Client) -> None:
    response = browser.get("/documents/?q=plan&cursor=bm9uZQ")
    assert (response.status_code, response["Location"]) == (302, "/documents/?q=plan")


def test_a_large_document_is_shown_within_limits(ada: User, browser: Client, restrict: Callable[..., None]) -> None:
    content = {"title": "Plan 1", "rows": [f"row {number} *a* {'b ' * 50}" for number in range(1_000)]}
    path = f"/documents/{plan(ada, 1, content=content)}/"
    assert browser.get(path).content.count(b"<em>a</em>") == 1_000
    restrict(rendering_seconds=0)
    page = browser.get(path)
    assert "This document is too large to be shown here." in text_of(page)
    assert "format=pdf" in page.content.decode()


def test_a_busy_server_says_so_in_place_of_a_large_document(
    ada: User, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("documents.rendering.limited_process._WAIT_SECONDS", 0.01)
    path = f"/documents/{plan(ada, 1, content={'title': 'Plan 1', 'text': 'a ' * 60_000})}/"
    with ExitStack() as taken:
        for _ in range(limits().rendering_processes):
            taken.enter_context(_slots())
        assert "The server is busy with other large documents." in text_of(browser.get(path))


def test_others_documents_are_not_there(ada: User, browser: Client) -> None:
    eve = ensure_user(name="eve")
    document_id = store(scope_of(eve, key="secret"), title="Hidden")
    assert names_in(browser.get("/documents/")) == []
    for path in (f"/documents/{document_id}/", f"/documents/{uuid7()}/"):
        page = browser.get(path)
        assert page.status_code == 404
        assert 'href="/documents/"' in page.content.decode()
        assert "Not found" in text_of(page)
        assert "Hidden" not in text_of(page)
    assert browser.get(f"/documents/{document_id}/parts/versions/").status_code == 404
    ScopeRole.objects.create(scope=scope_of(eve, key="secret"), user=ada, role=Role.VIEWER)
    assert browser.get(f"/documents/{document_id}/").status_code == 200


def test_the_reader_shows_one_version_and_knows_the_others(ada: User, browser: Client) -> None:
    document_id = store(scope_of(ada), content={"title": "The plan", "text": "First words"})
    store(scope_of(ada), version=2, id=document_id, content={"title": "The plan", "text": "Second words"})
    newest = text_of(browser.get(f"/documents/{document_id}/"))
    assert "Second words" in newest
    assert "is newer" not in newest
    old = text_of(browser.get(f"/documents/{document_id}/?v=1"))
    assert "First words" in old
    assert "Version 2 is newer." in old
    for wrong in ("3", "0", "-1", "x", "", "9" * 10):
        assert browser.get(f"/documents/{document_id}/?v={wrong}").status_code == 404


def test_two_versions_are_compared(ada: User, browser: Client) -> None:
    document_id = store(scope_of(ada), content={"title": "The plan", "text": "Open at <i>nine</i>"})
    store(scope_of(ada), version=2, id=document_id, content={"title": "The plan", "text": "Open at <i>ten</i>"})
    path = f"/documents/{document_id}/compare/"
    page = browser.get(path).content.decode()
    assert "1 change: 1 changed." in page
    assert "<ins" in page
    assert "&lt;i&gt;" in page
    assert "<i>" not in page
    assert "The two versions are the same." in text_of(browser.get(f"{path}?a=2&b=2"))
    assert f'href="{path}?b=2"' in browser.get(f"/documents/{document_id}/").content.decode()
    for wrong in ("a=3", "b=3", "a=x", "a=0&b=1"):
        assert browser.get(f"{path}?{wrong}").status_code == 404
    assert browser.get(f"/documents/{uuid7()}/compare/").status_code == 404


def test_the_changes_of_a_version_are_those_since_the_one_before_that_was_not_only_proposed(
    ada: User, browser: Client
) -> None:
    document_id = store(scope_of(ada), content={"title": "One"})
    store(scope_of(ada), version=2, id=document_id, content={"title": "Two"}, proposed=True)
    store(scope_of(ada), version=3, id=document_id, content={"title": "Three"})
    path = f"/documents/{document_id}/compare/"
    for query in ("", "?b=3"):
        page = browser.get(f"{path}{query}")
        assert "Changes from version 1 to 3" in text_of(page)
        answer = browser.get(f"/api/v1/documents/{document_id}/diff{query.replace('b=', 'to=')}").json()
        assert (answer["from"]["version"], answer["to"]["version"]) == (1, 3)
    assert "Changes from version 2 to 3" in text_of(browser.get(f"{path}?a=2&b=3"))
    assert "Changes from version 1 to 2" in text_of(browser.get(f"{path}?b=2"))


def test_a_first_version_is_compared_with_nothing(ada: User, browser: Client) -> None:
    document_id = store(scope_of(ada), content={"title": "One"})
    page = browser.get(f"/documents/{document_id}/compare/")
    assert "All of version 1 is new" in text_of(page)
    assert "<ins" in page.content.decode()


def test_a_page_follows_the_root_scope_of_what_it_shows(ada: User, browser: Client) -> None:
    root = scope_of(ada, key="a/b c")
    child = Scope.objects.create(parent=root, root=root, type="epic", key="one")
    stream = 'data-stream="/api/v1/scopes/project/a%2Fb%20c/stream"'
    for scope in (root, child):
        assert stream in browser.get(f"/documents/{store(scope)}/").content.decode()
    filtered = browser.get("/documents/", {"scope_type": "project", "scope_id": "a/b c"})
    assert stream in filtered.content.decode()
    for given in ({}, {"scope_id": "a/b c"}, {"scope_type": "project", "scope_id": "other"}):
        assert 'data-stream="/api/v1/inbox/stream"' in browser.get("/documents/", given).content.decode()


def test_times_are_in_the_readers_zone_and_name_it(ada: User, browser: Client) -> None:
    document_id = store(scope_of(ada))
    page = browser.get(f"/documents/{document_id}/").content.decode()
    assert (
        '<time datetime="2026-03-01T12:00:00.000Z" title="Sunday 21:00:00 Asia/Tokyo">1 Mar 2026, 21:00 JST</time>'
        in page
    )
    assert "Times are in Asia/Tokyo." in page


def test_the_reader_tells_where_a_document_comes_from_and_who_used_it(ada: User, browser: Client) -> None:
    scope = scope_of(ada)
    vision = store(scope, type="vision", title="The vision")
    pin = {"type": "vision", "document_id": str(vision), "version": 1}
    answer = {
        "question": "Who decides?",
        "answer": "Ms Ode",
        "answered_by": "bob",
        "answered_at": "2026-03-01T10:00:00.000Z",
    }
    origin = {
        "workflow_id": "software-delivery",
        "workflow_version": 3,
        "role": "product-manager",
        "model": "anthropic:claude",
        "attempt": 2,
        "inputs": [pin],
        "answers": [answer],
    }
    epics = store(scope, type="epics", title="The epics", execution_id=uuid7(), step_id="epics", provenance=origin)
    page = browser.get(f"/documents/{epics}/")
    told = text_of(page)
    assert (
        "Written by the product manager of the workflow Software delivery (v3), with anthropic:claude, in attempt 2."
        in told
    )
    assert "bob answered 1 question" in told
    assert "Who decides? Ms Ode" in told
    assert f'href="/documents/{vision}/?v=1" dir="auto">The vision</a>' in page.content.decode()
    used = browser.get(f"/documents/{vision}/").content.decode()
    assert f'href="/documents/{epics}/?v=1" dir="auto">The epics</a>' in used.partition('id="used-by"')[2]
    store(scope, type="vision", title="The vision", version=2, id=vision)
    assert (
        'id="used-by"' not in browser.get(f"/documents/{vision}/").content.decode()
    )  # no document was made from version 2


def test_the_reader_tells_who_decided(ada: User, browser: Client) -> None:
    reports.publish(gated=True)
    execution = reports.hand_in(reports.start(ada))
    document_id = DocumentVersion.objects.get().document_id
    decide_acceptance(
        user=ada,
        execution_id=execution.id,
        step_id="research",
        said=PersonsDecision(
            decision=AcceptanceAction.REQUEST_CHANGES, document_version=1, comment="Put the counter first."
        ),
        now=timezone.now(),
    )
    told = text_of(browser.get(f"/documents/{document_id}/"))
    assert re.search(r"ada asked for changes .* Put the counter first\.", told)


def test_texts_of_a_document_are_never_markup(ada: User, browser: Client) -> None:
    evil = "<img src=x onerror=alert(1)>"
    content = {
        "title": evil,
        evil: evil,
        "list": [evil],
        "rows": [{evil: evil}],
        "deep": [{"title": evil, "x": {"y": evil}}],
    }
    document_id = store(scope_of(ada), title=evil, content=content, provenance={"role": evil, "inputs": []})
    for path in (f"/documents/{document_id}/", "/documents/", "/documents/?q=onerror"):
        page = browser.get(path).content.decode()
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page


@pytest.mark.parametrize(
    "path",
    [
        "/documents/",
        "/documents/?scope_type=project&scope_id=alpha",
        "/documents/?q=plan",
        "/documents/{id}/",
        "/documents/{id}/compare/",
    ],
)
def test_a_page_takes_as_many_queries_for_many_as_for_few(ada: User, browser: Client, path: str) -> None:
    vision = store(scope_of(ada), type="vision", title="The plan", execution_id=uuid7(), step_id="vision")
    path = path.format(id=vision)
    few = queries_of(browser, path)
    assert len(few) <= MAX_QUERIES, few
    pins = [{"type": "vision", "document_id": str(vision), "version": 1}]
    for number in range(40):
        plan(ada, number, provenance={"inputs": pins})
    store(scope_of(ada), type="vision", id=vision, version=2, provenance={"inputs": pins * 40})
    assert len(queries_of(browser, path)) <= len(few) + 1  # the titles of its inputs


def queries_of(browser: Client, path: str) -> list[str]:
    """Return the statements of a page, without the marks of transactions."""
    with CaptureQueriesContext(connection) as context:
        assert browser.get(path).status_code == 200
    return [each["sql"] for each in context.captured_queries if "SAVEPOINT" not in each["sql"]]
