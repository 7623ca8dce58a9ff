"""Stale documents: why they are, what it takes to make them again, and the form that does it."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from access.models import ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from documents.models import Document, DocumentVersion
from executions.composition import build_ports
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import Reuse
from executions.engine.runtime.runner import ExecutionRunner
from executions.models import Execution as ExecutionRow
from executions.persistence import repositories
from executions.services import staleness
from executions.services.acceptance import PersonsDecision, decide_acceptance
from executions.services.documents import restore_document
from executions.services.executions import start_execution
from tests.factories import reports
from tests.factories.collections import collection, over
from tests.factories.documents import scope_of, store
from tests.factories.engine import definition
from tests.integration.console.test_document_pages import text_of
from tests.integration.console.test_edit_pages import HTMX, edit_by, fields
from workflows import publishing
from workflows import repository as workflows

pytestmark = pytest.mark.django_db

BRIEF = "A tool library for the city."


def made_from(document_id: UUID, *inputs: UUID) -> None:
    """Note in the provenance of a document what its first version was made from."""
    pins = [{"type": "findings", "document_id": str(each), "version": 1} for each in inputs]
    DocumentVersion.objects.filter(document_id=document_id, version=1).update(provenance={"inputs": pins})


@pytest.fixture
def ids(ada: User) -> dict[str, UUID]:
    """The documents of an execution that has ended, by type; the summary was made from the findings."""
    reports.publish()
    reports.finish(reports.start(ada))
    found = {row.type: row.id for row in Document.objects.all()}
    made_from(found["summary"], found["findings"])
    return found


def reader(browser: Client, document_id: UUID) -> Any:
    staleness.follow(since=None)  # as a worker does
    response = browser.get(f"/documents/{document_id}/")
    assert response.status_code == 200
    return response


def test_the_reader_says_what_has_changed_who_changed_it_and_when(
    ada: User, browser: Client, ids: dict[str, UUID]
) -> None:
    assert "stale" not in text_of(reader(browser, ids["summary"]))
    edit_by("bob", ids["findings"], {"title": "The findings, again"})
    page = reader(browser, ids["summary"])
    assert re.search(
        r"This version is stale: It was made from version 1 of The findings ?\. "
        r"bob has made version 2 , \d+ \w+ \d+, \d\d:\d\d UTC ?\. Show the changes",
        text_of(page),
    )
    findings = f"/documents/{ids['findings']}/"
    for address in (f"{findings}?v=1", f"{findings}?v=2", f"{findings}compare/?a=1&amp;b=2"):
        assert f'href="{address}"' in page.content.decode()
    assert f'href="/documents/{ids["summary"]}/again/"' in page.content.decode()
    assert "stale" not in text_of(reader(browser, ids["findings"]))


def test_a_restored_version_makes_it_current_again(ada: User, browser: Client, ids: dict[str, UUID]) -> None:
    edit_by("bob", ids["findings"], {"title": "The findings, again"})
    restore_document(user=ada, document_id=ids["findings"], version=1, expected_versions={2}, now=timezone.now())
    assert "stale" not in text_of(reader(browser, ids["summary"]))
    page = browser.get(f"/documents/{ids['summary']}/again/")
    assert "This document is current." in text_of(page)
    assert 'data-twin="post' not in page.content.decode()


def test_what_was_made_from_a_stale_document_is_stale_and_names_it(
    ada: User, browser: Client, ids: dict[str, UUID]
) -> None:
    letter = store(scope_of(ada), type="letter", title="The letter")
    made_from(letter, ids["summary"])
    edit_by("bob", ids["findings"], {"title": "The findings, again"})
    page = reader(browser, letter)
    assert re.search(r"It was made from version 1 of The summary ?, which is stale itself\.", text_of(page))
    assert f'href="/documents/{ids["summary"]}/"' in page.content.decode()
    assert "/again/" not in page.content.decode()  # no workflow has made the letter


def test_another_execution_wrote_an_input_again(ada: User, browser: Client, ids: dict[str, UUID]) -> None:
    second = reports.finish_step(reports.claim(reports.start(ada)), "research")
    DocumentVersion.objects.filter(execution_id=second.id).update(content_hash="0" * 64)
    told = text_of(reader(browser, ids["summary"]))
    assert "An execution has made version 2" in told


@pytest.mark.parametrize("decision", [None, AcceptanceAction.REJECT])
def test_what_waits_or_was_rejected_says_so(ada: User, browser: Client, decision: AcceptanceAction | None) -> None:
    reports.publish(gated=True)
    execution = reports.hand_in(reports.start(ada))
    if decision is not None:
        said = PersonsDecision(decision=decision, document_version=1, comment="No.")
        decide_acceptance(user=ada, execution_id=execution.id, step_id="research", said=said, now=timezone.now())
    document_id = Document.objects.get().id
    page = reader(browser, document_id)
    path = f"/executions/{execution.id}/steps/research/decision/"
    if decision is None:
        assert "It waits for a decision." in text_of(page)
        assert f'href="{path}"' in page.content.decode()
    else:
        assert re.search(r"ada rejected it, \d+ \w+ \d+", text_of(page))
    is_offered = f'href="/documents/{document_id}/again/"' in page.content.decode()
    assert is_offered is (decision is not None)  # what waits is decided first


def test_only_those_who_may_start_can_make_it_again(ada: User, browser: Client, ids: dict[str, UUID]) -> None:
    edit_by("bob", ids["findings"], {"title": "The findings, again"})
    ScopeRole.objects.filter(user=ada).update(role=Role.REVIEWER)
    ScopeRole.objects.create(scope=scope_of_document(ids["summary"]), user=ensure_user(name="eve"), role=Role.OWNER)
    page = reader(browser, ids["summary"])
    assert "It was made from version 1" in text_of(page)
    assert "/again/" not in page.content.decode()
    for response in (browser.get(again(ids)), browser.post(again(ids), {"workflow_version": "1"})):
        assert response.status_code == 403
        assert "operator" in text_of(response)
    assert ExecutionRow.objects.count() == 1


def scope_of_document(document_id: UUID) -> Any:
    return Document.objects.get(id=document_id).scope


def again(ids: dict[str, UUID], kind: str = "summary") -> str:
    return f"/documents/{ids[kind]}/again/"


def test_a_document_of_a_dry_run_is_not_made_again(ada: User, browser: Client) -> None:
    reports.publish()
    reports.finish(reports.start(ada, script=DryRunScript()))
    ids = {row.type: row.id for row in Document.objects.all()}
    made_from(ids["summary"], ids["findings"])
    edit_by("bob", ids["findings"], {"title": "The findings, again"})
    page = reader(browser, ids["summary"])
    assert "This version is stale" in text_of(page)
    assert "/again/" not in page.content.decode()
    assert "No execution can make it again." in text_of(browser.get(again(ids)))
    assert browser.post(again(ids), {"reuse": "current", "workflow_version": "1"}).status_code == 404
    assert ExecutionRow.objects.count() == 1


# --- the estimate, and the start ---


def run(user: User, workflow_id: str = "report") -> Execution:
    """Start a workflow and run it to its end with the rehearsal model."""
    execution = start_execution(
        user=user,
        workflow_id=workflow_id,
        scope_type="project",
        scope_id="alpha",
        input=BRIEF,
        now=timezone.now(),
    )
    return go_on(execution.id)


def go_on(execution_id: UUID) -> Execution:
    return asyncio.run(ExecutionRunner(build_ports(), execution_id=execution_id, worker="tests").run())


def publish_chain(**changed: Any) -> None:
    """Publish a workflow of three steps, each of which reads the document of the one before."""
    inputs = {"one": [], "two": ["one"], "three": ["two"]}
    steps = ({"id": each, "inputs": read, **changed.get(each, {})} for each, read in inputs.items())
    workflows.publish(definition(*steps).rehearsed, now=timezone.now())


@pytest.fixture
def chain(ada: User) -> dict[str, UUID]:
    """The documents of a chain of three, by type; the second one was edited since."""
    publish_chain()
    run(ada)
    found = {row.type: row.id for row in Document.objects.all()}
    content = DocumentVersion.objects.get(document_id=found["two"]).content
    edit_by("bob", found["two"], {**content, "title": "By Bob"})
    return found


@pytest.mark.django_db(transaction=True)
def test_the_estimate_tells_what_is_reused_and_what_will_be_paid(
    ada: User, browser: Client, chain: dict[str, UUID]
) -> None:
    page = browser.get(again(chain, "three"))
    told = text_of(page)
    reused, _, paid = told.partition("It will make")
    assert re.search(r"It reuses .*: One Two", reused)
    assert "Three" not in reused.partition("It reuses")[2]
    assert re.match(r" 1 step .*Three .*1 call", paid)
    assert "The whole workflow runs" in told
    assert "one item of many" not in told
    assert "expected cost: $0" in told
    sent = fields(page, "/again/")
    assert (sent["reuse"], sent["workflow_version"]) == ("current", "1")
    response = browser.post(again(chain, "three"), sent, headers=HTMX)
    started = ExecutionRow.objects.order_by("-created_at").first()
    assert started is not None
    assert (response.status_code, response["HX-Redirect"]) == (204, f"/executions/{started.id}/")
    execution = repositories.get(started.id)
    assert (execution.reuse, execution.input, execution.workflow_id) == (Reuse.CURRENT, BRIEF, "report")
    assert (execution.scope.key, execution.requested_by_name) == ("alpha", "ada")
    ended = go_on(execution.id)
    assert [ended.steps[step].attempt for step in ("one", "two", "three")] == [0, 0, 1]
    assert "stale" not in text_of(reader(browser, chain["three"]))
    assert browser.post(again(chain, "three"), sent, headers=HTMX)["HX-Redirect"] == response["HX-Redirect"]
    assert ExecutionRow.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_page_names_the_edits_that_are_replaced(ada: User, browser: Client, chain: dict[str, UUID]) -> None:
    assert "is replaced" not in text_of(browser.get(again(chain, "three")))  # the edited step is reused
    for kind in ("three", "one"):
        edit_by("bob", chain[kind], {"title": f"{kind.title()} by Bob", "points": ["his"]})
    page = browser.get(again(chain, "three"))
    told = text_of(page)
    assert "Version 2 of By Bob by bob is replaced; it stays in the history." in told
    assert "Version 2 of Three by Bob by bob is replaced; it stays in the history." in told
    assert "One by Bob" not in told.partition("What an execution will do")[2]
    assert "The present versions stay" not in told
    assert f'href="/documents/{chain["two"]}/?v=2"' in page.content.decode()
    browser.post(again(chain, "three"), fields(page, "/again/"), headers=HTMX)
    started = ExecutionRow.objects.latest("created_at")
    go_on(started.id)
    heads = {row.type: (row.version, row.author_name) for row in Document.objects.all()}
    assert heads == {"one": (2, "bob"), "two": (3, ""), "three": (3, "")}


@pytest.mark.django_db(transaction=True)
def test_an_edit_of_an_item_that_is_reused_is_not_named(ada: User, browser: Client) -> None:
    schema = collection("epics")
    schema["properties"]["epics"] |= {"minItems": 2, "maxItems": 2}
    each = over("epics", "epic")
    steps = {"id": "epics", "output_schema": schema}, {"id": "design", "for_each": each}
    workflows.publish(
        definition(*steps, {"id": "test", "for_each": each, "inputs": ["design"]}).rehearsed, now=timezone.now()
    )
    run(ada)
    items = dict(Document.objects.filter(type="test").values_list("scope__key", "id"))
    kept, replaced = items
    for key in items:
        edit_by("bob", items[key], {"title": f"Test {key}", "points": ["his"]})
    edit_by("bob", Document.objects.get(type="design", scope__key=replaced).id, {"title": "New", "points": ["his"]})
    told = text_of(browser.get(again({"test": items[replaced]}, "test")))
    assert "The whole workflow runs" in told
    assert "This document is one item of many; other items that are not current are made anew, too." in told
    assert f"Version 2 of Test {replaced} {replaced} by bob is replaced" in told
    assert f"of Test {kept}" not in told
    assert "of New" not in told


@pytest.mark.django_db(transaction=True)
def test_the_limits_and_tags_of_before_are_passed_on_and_told(
    ada: User, browser: Client, chain: dict[str, UUID]
) -> None:
    ExecutionRow.objects.update(budget={"max_cost_usd": "1.5", "max_calls": 40}, tags=["spring"])
    page = browser.get(again(chain, "three"))
    told = text_of(page)
    assert "with the same brief and tags." in told
    assert "Its limits, as the execution before has them: $1.50 40 calls" in told
    browser.post(again(chain, "three"), fields(page, "/again/"), headers=HTMX)
    started = ExecutionRow.objects.latest("created_at")
    assert started.tags == ["spring"]
    assert started.budget is not None
    assert (started.budget["max_cost_usd"], started.budget["max_calls"]) == ("1.5", 40)


@pytest.mark.django_db(transaction=True)
def test_a_document_whose_own_step_would_be_reused_says_what_to_make_first(
    ada: User, browser: Client, chain: dict[str, UUID]
) -> None:
    workflows.publish(
        definition({"id": "letter", "inputs": ["three"]}, id="letters", scope_documents=["three"]).rehearsed,
        now=timezone.now(),
    )
    run(ada, "letters")
    letter = {"letter": Document.objects.get(type="letter").id}
    page = browser.get(again(letter, "letter"))
    told = text_of(page)
    assert "Making it again would change nothing" in told
    assert f'href="/documents/{chain["three"]}/again/"' in page.content.decode()
    assert 'data-twin="post /api/v1/executions"' not in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_refused_start_stays_on_the_page(ada: User, browser: Client, chain: dict[str, UUID]) -> None:
    sent = fields(browser.get(again(chain, "three")), "/again/")
    ada.is_author = True
    ada.save(update_fields=["is_author"])
    publishing.retire("report", by=ada, now=timezone.now())
    response = browser.post(again(chain, "three"), sent, headers=HTMX)
    assert response.status_code == 422
    assert "Nothing was started." in text_of(response)
    assert "is retired" in text_of(response)
    assert fields(response, "/again/") == {}
    page = browser.get(again(chain, "three"))
    assert (page.status_code, "is retired" in text_of(page)) == (200, True)
    assert ExecutionRow.objects.count() == 1
    for wrong in ({}, {"workflow_version": "x"}):
        assert browser.post(again(chain, "three"), wrong).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_a_plan_that_changed_meanwhile_is_shown_and_not_started(
    ada: User, browser: Client, chain: dict[str, UUID]
) -> None:
    sent = fields(browser.get(again(chain, "three")), "/again/")
    edit_by("bob", chain["one"], {"title": "One by Bob", "points": ["his"]})
    refused = browser.post(again(chain, "three"), sent, headers=HTMX)
    told = text_of(refused)
    assert refused.status_code == 422
    assert "Nothing was started. Since you opened this page, what an execution would do has changed." in told
    assert "Version 2 of By Bob by bob is replaced" in told
    assert "<html" not in refused.content.decode()
    whole = browser.post(again(chain, "three"), sent)
    assert (whole.status_code, "<html" in whole.content.decode()) == (422, True)
    assert ExecutionRow.objects.count() == 1
    assert fields(refused, "/again/")["Idempotency-Key"] == sent["Idempotency-Key"]
    assert browser.post(again(chain, "three"), fields(refused, "/again/"), headers=HTMX).status_code == 204
    assert ExecutionRow.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_an_execution_that_another_person_started_is_named(ada: User, browser: Client, chain: dict[str, UUID]) -> None:
    page = browser.get(again(chain, "three"))
    assert "has not ended and makes this document, too" not in text_of(page)
    sent = fields(page, "/again/")
    bob = ensure_user(name="bob")
    ScopeRole.objects.filter(user=bob).update(role=Role.OPERATOR)
    started = start_execution(
        user=bob,
        workflow_id="report",
        scope_type="project",
        scope_id="alpha",
        input=BRIEF,
        reuse=Reuse.CURRENT,
        now=timezone.now(),
    )
    for shown in (
        browser.get(again(chain, "three")),
        refused := browser.post(again(chain, "three"), sent, headers=HTMX),
    ):
        assert "has not ended and makes this document, too" in text_of(shown)
        assert "pending, started by bob" in text_of(shown)
        assert f'href="/executions/{started.id}/"' in shown.content.decode()
    assert refused.status_code == 422
    go_on(started.id)
    late = browser.post(again(chain, "three"), fields(refused, "/again/"), headers=HTMX)
    assert late.status_code == 422
    assert "Since you opened this page, the document has become current" in text_of(late)
    assert "This document is current." in text_of(late)
    assert ExecutionRow.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_workflow_that_no_longer_makes_the_document_says_so(
    ada: User, browser: Client, chain: dict[str, UUID]
) -> None:
    workflows.publish(definition({"id": "one"}, {"id": "two", "inputs": ["one"]}).rehearsed, now=timezone.now())
    page = browser.get(again(chain, "three"))
    told = text_of(page)
    assert "Version 2 of the workflow no longer makes this document." in told
    assert "would change nothing" not in told
    assert fields(page, "/again/") == {}
