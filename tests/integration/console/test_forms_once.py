"""A form of a page acts once, however often it is sent, and shows its first result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from access.models import KeptAnswer, ScopeRole
from access.services import remove_old_answers
from access.user import User
from documents.models import Document, DocumentComment, DocumentVersion
from executions.models import ExecutionEvent
from tests.factories import reports
from tests.factories.documents import scope_of, store
from tests.integration.console.test_edit_pages import HTMX, edit_by, fields
from tests.support.two_connections import DEADLINE_SECONDS, blocked

pytestmark = pytest.mark.django_db

#: Where a form is sent, and what it sends.
Form = tuple[str, dict[str, str]]
CONTENT = {"title": "The plan"}
SCHEMA = {"type": "object", "properties": {"title": {"type": "string", "minLength": 3}}, "required": ["title"]}


def plan_of(user: User) -> UUID:
    return store(scope_of(user), content=CONTENT, schema=SCHEMA)


def edited(browser: Client, user: User) -> Form:
    path = f"/documents/{plan_of(user)}/edit/"
    return path, fields(browser.get(path), "/edit/") | {"content.sk/title": "Another plan"}


def added(browser: Client, user: User) -> Form:
    page = browser.get("/documents/new/?scope_type=project&scope_id=beta&type=notes")
    return "/documents/new/", fields(page, "/new/") | {"title": "Notes", "content.sk": "First."}


def restored(browser: Client, user: User) -> Form:
    plan = plan_of(user)
    edit_by("bob", plan, {"title": "Another plan"})
    return f"/documents/{plan}/restore/", fields(browser.get(f"/documents/{plan}/?v=1"), "/restore/")


def commented(browser: Client, user: User) -> Form:
    plan = plan_of(user)
    form = browser.get(f"/documents/{plan}/parts/passage/?v=1&near=&quote=The plan")
    return f"/documents/{plan}/comments/", fields(form, "/comments/") | {"text": "Which?"}


def decided(browser: Client, user: User) -> Form:
    reports.publish(gated=True)
    path = f"/executions/{reports.hand_in(reports.start(user)).id}/steps/research/decision/"
    return path, fields(browser.get(path), "/decision/") | {"decision": "accept"}


def edited_and_accepted(browser: Client, user: User) -> Form:
    path = f"{decided(browser, user)[0]}edit/"
    return path, fields(browser.get(path), "/decision/edit/") | {"content.sk/title": "Better findings"}


def made_again(browser: Client, user: User) -> Form:
    reports.publish()
    reports.finish(reports.start(user))
    found = {row.type: row.id for row in Document.objects.all()}
    pins = [{"type": "findings", "document_id": str(found["findings"]), "version": 1}]
    DocumentVersion.objects.filter(document_id=found["summary"]).update(provenance={"inputs": pins})
    edit_by("bob", found["findings"], {"title": "Other findings"})
    path = f"/documents/{found['summary']}/again/"
    return path, fields(browser.get(path), "/again/")


THREADS = pytest.mark.django_db(transaction=True)  # threads of estimates read what is stored
FORMS = (
    edited,
    added,
    restored,
    commented,
    decided,
    edited_and_accepted,
    pytest.param(made_again, marks=THREADS),
)


def stored() -> tuple[int, ...]:
    return tuple(each.objects.count() for each in (DocumentVersion, DocumentComment, ExecutionEvent, KeptAnswer))


def result(response: Any) -> tuple[int, str]:
    return response.status_code, response.headers.get("HX-Redirect", "")


@pytest.mark.parametrize("make", FORMS)
def test_a_form_that_is_sent_again_acts_once(ada: User, browser: Client, make: Callable[[Client, User], Form]) -> None:
    before = stored()
    path, sent = make(browser, ada)
    first = browser.post(path, sent, headers=HTMX)
    assert result(first)[0] in {200, 204}, first.content
    after = stored()
    assert after[-1] == before[-1] + 1
    assert result(browser.post(path, sent | {"csrfmiddlewaretoken": "of another tab"}, headers=HTMX)) == result(first)
    assert stored() == after
    assert browser.post(path, sent | {"Idempotency-Key": "a b"}, headers=HTMX).status_code == 400
    ScopeRole.objects.all().delete()
    assert browser.post(path, sent, headers=HTMX).status_code == 404
    assert stored() == after


def test_a_form_that_was_changed_acts_again(ada: User, browser: Client) -> None:
    path, sent = commented(browser, ada)
    for text in ("Which?", "Whose?"):
        assert browser.post(path, sent | {"text": text}, headers=HTMX)["HX-Trigger"] == "stored"
    assert DocumentComment.objects.count() == 2


def test_a_refused_form_keeps_its_key_and_leaves_it_unused(ada: User, browser: Client) -> None:
    path, sent = edited(browser, ada)
    refused = browser.post(path, sent | {"content.sk/title": "A"}, headers=HTMX)
    assert (refused.status_code, fields(refused, "/edit/")["Idempotency-Key"]) == (422, sent["Idempotency-Key"])
    assert KeptAnswer.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_double_click_waits_for_the_first_one(ada: User, browser: Client) -> None:
    path, sent = commented(browser, ada)

    def click() -> Any:
        return browser.post(path, sent, headers=HTMX)

    with ExitStack() as clicks:
        with transaction.atomic():
            first = click()
            second = clicks.enter_context(blocked(click))
        assert second.result(DEADLINE_SECONDS)["HX-Trigger"] == first["HX-Trigger"] == "stored"
    assert DocumentComment.objects.count() == 1


@pytest.mark.parametrize(("days", "is_kept"), [(7.9, True), (8.1, False)])
def test_a_form_acts_once_as_long_as_a_browser_keeps_it(browser: Client, ada: User, days: float, is_kept: bool) -> None:
    path, sent = edited(browser, ada)
    assert browser.post(path, sent, headers=HTMX).status_code == 204
    KeptAnswer.objects.update(kept_at=timezone.now() - timedelta(days=days))
    again = browser.post(path, sent, headers=HTMX)
    assert (again.status_code == 204) is is_kept  # else the version that it began with is not the newest one
    KeptAnswer.objects.update(kept_at=timezone.now() - timedelta(days=days))
    remove_old_answers(now=timezone.now())
    assert KeptAnswer.objects.exists() is is_kept
